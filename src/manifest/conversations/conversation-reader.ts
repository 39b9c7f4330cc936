import type { Backend } from '../../backends/contract/backend.ts';
import type {
  ManifestHead,
  ManifestKey,
  StoredManifest,
} from '../../backends/contract/manifests.ts';
import { type AbortOptions, throwIfAborted } from '../../core/abort.ts';
import { isVarveError, VarveError } from '../../core/errors.ts';
import { inTurns, joining } from '../../core/steps.ts';
import type { StoredReference } from '../content/body.ts';
import { type Composition, composing, joinSkeletons, splitting } from '../content/composition.ts';
import { ContentReader } from '../content/content-reader.ts';
import { lostContent } from '../content/lost-content.ts';
import { renderText, renderValue } from '../content/render.ts';
import { type AddressedReference, covers, type History } from './history.ts';

/** How often a reader starts again when the conversation is replaced or deleted while it reads. */
const READ_ATTEMPTS = 8;

export function conversationKey(id: string): ManifestKey {
  return { kind: 'conversation', id };
}

/** Reads conversations back. */
export class ConversationReader {
  readonly #backend: Backend;
  readonly #content: ContentReader;

  constructor(backend: Backend) {
    this.#backend = backend;
    this.#content = new ContentReader(backend);
  }

  /**
   * Reads one conversation and passes it to a callback; starts again when its segments were
   * collected meanwhile.
   *
   * @param revision - the number of entries to read; default: all
   * @throws `NOT_FOUND` when it has fewer entries than `revision`.
   */
  async read<T>(
    id: string,
    revision: number | undefined,
    make: (manifest: StoredManifest, composition: Composition<StoredReference>) => Promise<T>,
    options?: AbortOptions,
  ): Promise<T | undefined> {
    let previous: string | undefined;
    for (let attempt = 0; ; attempt++) {
      throwIfAborted(options?.signal);
      const [manifest] = await this.#backend.read([conversationKey(id)], options);
      if (manifest === undefined) return undefined;
      try {
        return await make(manifest, await this.composition(manifest, revision, options));
      } catch (error) {
        if (!isVarveError(error, 'NOT_FOUND') || revisionTooHigh(manifest, revision)) throw error;
        if (manifest.revision === previous || attempt === READ_ATTEMPTS) {
          throw lostContent(manifest.key, error);
        }
        previous = manifest.revision;
      }
    }
  }

  async composition(
    manifest: StoredManifest,
    revision: number | undefined,
    options?: AbortOptions,
  ): Promise<Composition<StoredReference>> {
    if (revisionTooHigh(manifest, revision)) {
      throw new VarveError(
        'NOT_FOUND',
        `conversation ${JSON.stringify(manifest.key.id)} has ${manifest.entries.length} ` +
          `revisions, not ${revision}`,
      );
    }
    const entries = await this.#content.entries(manifest.entries.slice(0, revision), options);
    return inTurns(composing(entries), options?.signal);
  }

  /** The JSON text, in pieces. */
  text(
    head: ManifestHead,
    composition: Composition<StoredReference>,
    options?: AbortOptions,
  ): Promise<Buffer[]> {
    return renderText(composition, head.key.id, this.#content, options);
  }

  value(
    head: ManifestHead,
    composition: Composition<StoredReference>,
    options?: AbortOptions,
  ): Promise<object> {
    return renderValue(composition, head.key.id, this.#content, options);
  }

  /** The raw bytes of references, for callers that assemble text themselves. */
  raw(references: readonly StoredReference[], options?: AbortOptions): Promise<Buffer[]> {
    return this.#content.raw(references, options);
  }

  /** The newest state, in a form that a longer history can be compared with. */
  async history(manifest: StoredManifest, options?: AbortOptions): Promise<History> {
    const composition = await this.composition(manifest, undefined, options);
    const { text, references } = joinSkeletons(composition.pieces);
    const whole = references.filter(({ digest }) => digest === undefined);
    const addresses = await this.#backend.addresses(
      whole.map(({ locators }) => locators[0] as (typeof locators)[number]),
      options,
    );
    let next = 0;
    const addressed = references.map(
      ({ code, digest }): AddressedReference => ({
        code,
        address: digest ?? (addresses[next++] as (typeof addresses)[number]),
      }),
    );
    return {
      split: await inTurns(splitting({ text, references: addressed }), options?.signal),
      text: async () => {
        const pieces = await this.text(manifest, composition, options);
        return inTurns(joining(pieces), options?.signal);
      },
      knew: (line) => this.#knew(manifest, line, options),
    };
  }

  /** Whether some state of a conversation covers a JSON text; checks the newest states first. */
  async #knew(manifest: StoredManifest, line: Buffer, options?: AbortOptions): Promise<boolean> {
    for (let revision = manifest.entries.length; revision > 0; revision--) {
      const composition = await this.composition(manifest, revision, options);
      if (covers(Buffer.concat(await this.text(manifest, composition, options)), line)) return true;
    }
    return false;
  }
}

function revisionTooHigh(manifest: StoredManifest, revision: number | undefined): boolean {
  return revision !== undefined && revision > manifest.entries.length;
}
