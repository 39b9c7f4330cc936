import {
  type Generation,
  HOT_REFERENCES,
  HOT_REFUSALS,
  type SegmentState,
  type SidecarContent,
  type Token,
} from '../format/sidecar.ts';
import type { SidecarChange } from './sidecar-table.ts';

/** What a taker of references knows and wants. */
export interface Taking {
  readonly tokens: readonly Token[];
  /** A generation whose data this process knows to be stored. */
  readonly storedGeneration: Generation | undefined;
  /** Begins a new life of the segment; throws when its bytes are not available. */
  readonly newGeneration: () => Generation;
}

/**
 * Adds references. A segment that is absent, condemned or gone gets a new generation (rule
 * `never-revive-a-generation`). A hot one takes no names, and only a live one becomes hot (rule
 * `heat-only-what-is-live`). Many references make a segment hot, and so do many writers at once:
 * the one that was refused often ends the crowding for all.
 */
export function take({ tokens, storedGeneration, newGeneration }: Taking): SidecarChange {
  return (sidecar, refusals) => {
    if (sidecar === undefined || sidecar.state === 'condemned' || sidecar.state === 'gone') {
      return { gen: newGeneration(), state: 'uploading', refs: [...tokens], ...guardsOf(sidecar) };
    }
    if (sidecar.hot) return undefined;
    const known = new Set(sidecar.refs);
    const added = tokens.filter((token) => !known.has(token));
    if (added.length === 0) return undefined;
    const refs = [...sidecar.refs, ...added];
    const state: SegmentState = sidecar.gen === storedGeneration ? 'live' : sidecar.state;
    const isWarm = refs.length > HOT_REFERENCES || refusals >= HOT_REFUSALS;
    const isHot = state === 'live' && isWarm && sidecar.damaged === undefined;
    return { ...withoutSince(sidecar), state, refs, ...(isHot && { hot: true }) };
  };
}

/** Removes references; `since` is the time at which nothing references the segment any more. */
export function drop(tokens: ReadonlySet<Token>, since: () => number): SidecarChange {
  return (sidecar) => {
    // A hot segment's names are no longer maintained; cooling finds them again.
    if (sidecar === undefined || sidecar.hot) return undefined;
    const refs = sidecar.refs.filter((token) => !tokens.has(token));
    if (refs.length === sidecar.refs.length) return undefined;
    return { ...withoutSince(sidecar), refs, ...(refs.length === 0 && { since: since() }) };
  };
}

/** Adds names that a scan of the manifests found missing. */
export function restore(tokens: readonly Token[]): SidecarChange {
  return (sidecar) => {
    if (sidecar === undefined || sidecar.hot || !isUsable(sidecar)) return undefined;
    const known = new Set(sidecar.refs);
    const added = tokens.filter((token) => !known.has(token));
    return added.length === 0
      ? undefined
      : { ...withoutSince(sidecar), refs: [...sidecar.refs, ...added] };
  };
}

/**
 * Counts references to a segment whose bytes are lost, and marks it for the next writer that has
 * them. One that was given up gets a new generation (rule `never-revive-a-generation`).
 */
export function awaitBytes(tokens: readonly Token[], generation: Generation): SidecarChange {
  return (sidecar, refusals) => {
    if (sidecar === undefined || !isUsable(sidecar)) {
      return {
        gen: generation,
        state: 'uploading',
        refs: [...tokens],
        damaged: true,
        ...guardsOf(sidecar),
      };
    }
    const counted = restore(tokens)(sidecar, refusals) ?? sidecar;
    return counted === sidecar && sidecar.damaged ? undefined : { ...counted, damaged: true };
  };
}

/** Whether a collection may take a segment whose last reference went at `since`. */
export type IsDue = (since: number) => boolean;

/** Nothing that is hot or guarded is ever collected (rule `heat-only-what-is-live`). */
export function isCollectable({ state, refs, hot, guards }: SidecarContent): boolean {
  return (
    (state === 'live' || state === 'uploading') && refs.length === 0 && !hot && !guards?.length
  );
}

export function condemn(isDue: IsDue): SidecarChange {
  return (sidecar) => {
    if (sidecar === undefined || !isCollectable(sidecar) || !isDue(sidecar.since ?? 0))
      return undefined;
    return { ...sidecar, state: 'condemned' };
  };
}

/**
 * For when the data of the condemned generation is deleted. Leaves a tombstone (rule
 * `keep-tombstones`).
 */
export function bury(generation: Generation): SidecarChange {
  return (sidecar) => {
    if (sidecar?.state !== 'condemned' || sidecar.gen !== generation) return undefined;
    const { damaged: _, ...rest } = sidecar;
    return { ...rest, state: 'gone' };
  };
}

export function markDamaged(generation: Generation): SidecarChange {
  return (sidecar) => {
    if (
      sidecar === undefined ||
      sidecar.gen !== generation ||
      sidecar.damaged ||
      !isUsable(sidecar)
    )
      return undefined;
    return { ...sidecar, damaged: true };
  };
}

/** After the right bytes were stored again under the damaged generation. */
export function markHealed(generation: Generation): SidecarChange {
  return (sidecar) => {
    if (sidecar?.gen !== generation || !sidecar.damaged) return undefined;
    const { damaged: _, ...rest } = sidecar;
    return rest;
  };
}

/** Whether manifests may reference its generation. */
export function isUsable({ state }: SidecarContent): boolean {
  return state === 'live' || state === 'uploading';
}

function withoutSince({ since: _, ...rest }: SidecarContent): SidecarContent {
  return rest;
}

/** A guard outlives the generation it was put on (rule `remove-only-own-guards`). */
function guardsOf(sidecar: SidecarContent | undefined): Pick<SidecarContent, 'guards'> {
  return sidecar?.guards?.length ? { guards: sidecar.guards } : {};
}
