import type { ManifestKind } from '../../contract/manifests.ts';
import type { ListedManifest } from '../format/rollup.ts';

/** A manifest's head, and the rollup that contains it. */
interface KnownManifest extends ListedManifest {
  readonly rollup: string;
}

type ByKind<Value> = Record<ManifestKind, Value>;

/** List state that all calls of an open store share. */
export class ListMemory {
  /** By tag: no two bodies are ever equal. */
  readonly known: ByKind<Map<string, KnownManifest>> = {
    conversation: new Map(),
    blob: new Map(),
    pin: new Map(),
  };
  /** Known rollups, with the number of heads in each, stale ones included. */
  readonly read = new Map<string, number>();
  /** By key of the object. */
  readonly unwritten: ByKind<Map<string, ListedManifest>> = {
    conversation: new Map(),
    blob: new Map(),
    pin: new Map(),
  };
  /** Rollups written since others were last merged. */
  readonly unmerged: ByKind<number> = { conversation: 0, blob: 0, pin: 0 };
}
