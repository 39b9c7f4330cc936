import { type Address, addressOf } from '../../../core/address.ts';
import { isVarveError } from '../../../core/errors.ts';
import type { ManifestKey, NewSegment } from '../../contract/manifests.ts';
import type { HeldReference, ManifestContent } from '../format/manifest-record.ts';
import { encodePage } from '../format/page.ts';
import { Backoff } from '../tables/backoff.ts';
import { lostPage } from '../tables/references.ts';
import { Attempt, type Change, type Needs } from './attempt.ts';
import {
  type AttemptContext,
  abandon,
  announce,
  commit,
  prepare,
  restartIfFenced,
  take,
} from './attempt-steps.ts';
import { CommitJournal } from './commit-journal.ts';
import { StoredGuess } from './stored-guess.ts';

/**
 * Changes references in the pages of a manifest: each page that has one is replaced by a new one.
 * The content and its revision stay. Returns whether all are as `change` wants them.
 */
export async function rewritePages(
  parts: Pick<AttemptContext, 'protocol' | 'taker' | 'hints'>,
  key: ManifestKey,
  change: (reference: HeldReference) => HeldReference,
): Promise<boolean> {
  const context: AttemptContext = {
    ...parts,
    guess: new StoredGuess(),
    journal: new CommitJournal(),
    stored: new Map(),
    drops: [],
  };
  const attempt = new Attempt(parts.protocol, key);
  const backoff = new Backoff(parts.protocol);
  try {
    for (let round = 1; ; round++) {
      if (round > 2) await backoff.pause(`repairing ${key.kind} ${JSON.stringify(key.id)}`);
      restartIfFenced(context, attempt);
      await attempt.look();
      const plan = await planOf(context, attempt, change);
      if (plan === 'unchanged') return true;
      const announced = plan && (await announce(context, { phase: 'planned', attempt, plan }));
      if (announced === undefined) continue;
      const [taken] = await take(context, [announced], (_, __, error) => {
        throw error;
      });
      if (taken === undefined || !attempt.canReplace(taken.plan.from)) continue;
      const prepared = await prepare(context, taken);
      const { objectKey } = attempt;
      await context.hints.announceGarbage([{ objectKey, dropped: prepared.garbage }]);
      if ((await commit(context, prepared)) !== undefined) return true;
    }
  } finally {
    await abandon(context, [attempt]);
  }
}

interface Plan extends Needs, Change {}

/** What replaces pages; `undefined` when the manifest has changed since it was read. */
async function planOf(
  { protocol }: AttemptContext,
  attempt: Attempt,
  change: (reference: HeldReference) => HeldReference,
): Promise<Plan | 'unchanged' | undefined> {
  const from = attempt.seen.record?.current;
  if (from === undefined) return 'unchanged';
  const { etag } = attempt.seen;
  try {
    return await changed(protocol, attempt, from, change);
  } catch (error) {
    if (!isVarveError(error, 'NOT_FOUND')) throw error;
    await attempt.look();
    if (attempt.seen.etag === etag) throw lostPage(error);
    return undefined;
  }
}

async function changed(
  { pages }: AttemptContext['protocol'],
  attempt: Attempt,
  from: ManifestContent,
  change: (reference: HeldReference) => HeldReference,
): Promise<Plan | 'unchanged'> {
  const missing = new Map<Address, NewSegment>();
  const absorbed = new Map<Address, readonly HeldReference[]>();
  const moved: HeldReference[] = [];
  const addresses = from.pages.map(({ address }) => address);
  const contents = await pages.readAll(attempt.objectKey, from, addresses);
  const rewritten = contents.map((content, at) => {
    const page = from.pages[at] as (typeof from.pages)[number];
    const references = content.references.map(change);
    if (references.every((reference, number) => reference === content.references[number]))
      return page;
    const bytes = encodePage({ ...content, references }, attempt.id);
    const address = addressOf(bytes);
    missing.set(address, { address, encoding: 'bytes', bytes: () => bytes });
    absorbed.set(page.address, content.references);
    moved.push(...references);
    return { ...page, address };
  });
  if (missing.size === 0) return 'unchanged';
  const content = { ...from, pages: rewritten };
  return { missing, content, from, moved, absorbed, lost: new Set() };
}
