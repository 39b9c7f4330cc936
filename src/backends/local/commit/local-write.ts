import type { AppendWrite, DeleteWrite, HoldWrite, PutWrite } from '../../contract/manifests.ts';
import type { LocalKey } from '../tables/manifest-table.ts';

type WithLocalKey<Write> = Omit<Write, 'key'> & {
  readonly key: LocalKey;
  /** The manifest that the bodies of an upload will belong to. Default: `key`. */
  readonly owner?: LocalKey;
};

export type LocalPut = WithLocalKey<PutWrite>;
export type LocalAppend = WithLocalKey<AppendWrite>;
export type LocalDelete = WithLocalKey<DeleteWrite>;

/** Gives the entries of an upload to the manifest that they were uploaded for. */
export interface AdoptWrite extends Omit<PutWrite, 'operation' | 'entries'> {
  readonly operation: 'adopt';
  readonly upload: LocalKey;
}

/** What the local backend commits: the writes of the contract, and its own for uploads. */
export type LocalWrite = LocalPut | LocalAppend | LocalDelete | HoldWrite | AdoptWrite;
