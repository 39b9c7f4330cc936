import type { Backend } from '../../backends/contract/backend.ts';
import type {
  Locator,
  ManifestHead,
  ManifestHold,
  Revision,
  StoredManifest,
} from '../../backends/contract/manifests.ts';
import type { AbortOptions } from '../../core/abort.ts';

/** What a list returns per conversation. */
export interface ConversationHead {
  readonly id: string;
  readonly revision: Revision;
  readonly application?: string;
  readonly model?: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly expiresAt?: number;
  /** Size of the conversation as given, in bytes. */
  readonly bytes: number;
  /** Number of states that can be read. */
  readonly revisions: number;
  /** Present while it is held. */
  readonly hold?: ManifestHold;
}

/** What is known of a conversation without reading its content. */
export interface ConversationStat extends ConversationHead {
  /** Messages in its newest state; 0 without an array of messages. */
  readonly messages: number;
  /** Distinct segments it refers to, and their bytes. */
  readonly segments: number;
  readonly segmentBytes: number;
  /** Bytes of the segments that other conversations, blobs or pins also refer to. */
  readonly sharedBytes: number;
  /** Bytes stored in the manifest itself. */
  readonly inlineBytes: number;
}

/** Converts a manifest's head to a list item. */
export function headOf(head: ManifestHead): ConversationHead {
  return {
    id: head.key.id,
    revision: head.revision,
    ...(head.application !== undefined && { application: head.application }),
    ...(head.model !== undefined && { model: head.model }),
    createdAt: head.createdAt,
    updatedAt: head.updatedAt,
    ...(head.expiresAt !== undefined && { expiresAt: head.expiresAt }),
    bytes: head.logicalBytes,
    revisions: head.entryCount,
    ...(head.hold !== undefined && { hold: head.hold }),
  };
}

/** Number and size of a manifest's segments, and the size of those that others use too. */
export async function sizesOf(
  manifest: StoredManifest,
  backend: Backend,
  options: AbortOptions,
): Promise<Pick<ConversationStat, 'segments' | 'segmentBytes' | 'sharedBytes'>> {
  const own = new Map<Locator, number>();
  for (const { segments } of manifest.entries) {
    for (const locator of new Set(segments)) own.set(locator, (own.get(locator) ?? 0) + 1);
  }
  const descriptions = await backend.describe([...own.keys()], options);
  const uses = [...own.values()];
  let segmentBytes = 0;
  let sharedBytes = 0;
  for (const [index, { length, references }] of descriptions.entries()) {
    segmentBytes += length;
    const ownUses =
      backend.capabilities.countsReferencesOf === 'manifests' ? 1 : (uses[index] as number);
    if (references > ownUses) sharedBytes += length;
  }
  return { segments: own.size, segmentBytes, sharedBytes };
}
