import { throwIfAborted } from './abort.ts';
import { invalid, isBytes, iteratorOf, shown, stepOf } from './arguments.ts';
import { VarveError } from './errors.ts';

/**
 * Bytes to store: as a whole, or in pieces of any size. Node.js and web streams are async
 * iterables.
 */
export type ByteSource = Uint8Array | AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/**
 * Larger pieces are split into parts of this size, so that one large piece does not multiply in
 * memory.
 */
const PART_BYTES = 1024 * 1024;

/**
 * Yields the pieces of a source, checked and split to at most 1 MiB. When `signal` fires, it does
 * not wait for a source that is silent.
 *
 * @throws `INVALID_ARGUMENT` when the source is not one or yields anything but bytes; `ABORTED`;
 *   what the source throws.
 */
export async function* piecesOf(
  source: ByteSource,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  if (isBytes(source)) {
    yield* partsOf(source);
    return;
  }
  const iterator = iteratorOf('a source of bytes is', source);
  let ended = false;
  try {
    for (;;) {
      const step = stepOf('a source of bytes is', await nextOf(iterator, signal));
      if (step.done) {
        ended = true;
        return;
      }
      if (!isBytes(step.value)) {
        throw invalid(
          `a source must yield Uint8Array, not ${shown(step.value)}: open text streams ` +
            'without an encoding',
        );
      }
      yield* partsOf(step.value);
    }
  } finally {
    // Not awaited after an abort: a source whose read never ends would not answer.
    if (!ended) {
      const closed = Promise.resolve(iterator.return?.()).catch(() => undefined);
      if (!signal?.aborted) await closed;
    }
  }
}

function* partsOf(piece: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < piece.length; at += PART_BYTES) yield piece.subarray(at, at + PART_BYTES);
}

/**
 * Returns the next step, or throws `ABORTED` as soon as `signal` fires. Removes its listener,
 * because one signal outlives many steps.
 */
async function nextOf(
  iterator: AsyncIterator<Uint8Array> | Iterator<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<IteratorResult<Uint8Array>> {
  if (!signal) return iterator.next();
  throwIfAborted(signal);
  let stop = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () =>
      reject(
        new VarveError('ABORTED', 'the operation was aborted by its caller', {
          cause: signal.reason,
        }),
      );
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([iterator.next(), aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
