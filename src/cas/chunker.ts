import { addressOf } from '../address.ts';
import { MAX_SEGMENT_BYTES } from '../backends/backend.ts';
import { VarveError } from '../errors.ts';

/**
 * Content-defined chunking: FastCDC with normalised chunking at level 2 (Wen Xia et al., "FastCDC: a Fast and Efficient
 * Content-Defined Chunking Approach for Data Deduplication", USENIX ATC 2016, sections 4.2 to 4.4).
 *
 * A gear hash `h = (h << 1) + gear[byte]` modulo 2^32 rolls over the content; its value depends on the last 32 bytes.
 * A chunk ends after the first byte, at least `minBytes` into the chunk, whose hash has its top bits zero: two bits
 * more than log2(averageBytes) while the chunk is shorter than the average, two bits fewer after it; at `maxBytes` in
 * any case. Unlike the paper's code, the hash is warmed up on the 32 bytes before `minBytes`, so whether a byte is a
 * candidate depends on the content alone and not on where the chunk began.
 */
export interface ChunkerOptions {
  /** No chunk but the last is shorter. At least 32. */
  readonly minBytes: number;
  /** What the masks aim at; a power of two. Measured averages lie about a tenth higher. */
  readonly averageBytes: number;
  /** No chunk is longer. At most {@link MAX_SEGMENT_BYTES}. */
  readonly maxBytes: number;
  /** Cuts fall on multiples of this many bytes: 1 for bytes, 4 for token ids. The other three must be multiples of it. */
  readonly alignment: 1 | 4;
}
