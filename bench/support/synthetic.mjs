/**
 * Made-up conversations: word-like text that compresses like English, no two messages alike, cheap
 * to make.
 */
import { hash } from 'node:crypto';
import { randomIntegers } from './statistics.mjs';

/** Text is cut from a pool of this many bytes at random places. */
const POOL_BYTES = 16 * 1024 * 1024;

const WORDS = 4096;

/** Makes lines of JSONL, always the same ones for a seed. */
export class ConversationSource {
  #made = 0;
  #random;
  #pool;
  #messages;
  #messageBytes;

  /**
   * @param {{ seed: number, messages: number, messageBytes: number }} shape of every conversation
   */
  constructor({ seed, messages, messageBytes }) {
    this.#random = randomIntegers(seed);
    this.#pool = textPool(this.#random);
    this.#messages = messages;
    this.#messageBytes = messageBytes;
  }

  /**
   * The next conversations, one a line.
   *
   * @param {number} count
   */
  next(count) {
    const out = Buffer.allocUnsafe(count * (this.#messages * (this.#messageBytes + 64) + 128));
    let at = 0;
    for (let end = this.#made + count; this.#made < end; this.#made++) {
      // Ids in no order, as random UUIDs are.
      const id = hash('sha1', `conversation ${this.#made}`).slice(0, 32);
      at += out.write(
        `{"id":"${id}","model":"synthetic","application":"bench","messages":[`,
        at,
        'latin1',
      );
      for (let number = 0; number < this.#messages; number++) {
        const role = number % 2 === 0 ? 'user' : 'assistant';
        at += out.write(`${number === 0 ? '' : ','}{"role":"${role}","content":"`, at, 'latin1');
        const content = at;
        // What makes the message unlike all others.
        at += out.write(`${(this.#made * this.#messages + number).toString(36)} `, at, 'latin1');
        const missing = this.#messageBytes - (at - content);
        const from = this.#random() % (POOL_BYTES - this.#messageBytes);
        at += this.#pool.copy(out, at, from, from + missing);
        at += out.write('"}', at, 'latin1');
      }
      at += out.write(']}\n', at, 'latin1');
    }
    return out.subarray(0, at);
  }
}

/** @param {() => number} random */
function textPool(random) {
  const words = Array.from({ length: WORDS }, () =>
    hash('sha1', String(random()), 'base64')
      .replace(/[^a-z]/gi, '')
      .toLowerCase(),
  );
  const pool = Buffer.allocUnsafe(POOL_BYTES);
  for (let at = 0; at < POOL_BYTES; ) {
    const length = 2 + (random() % 8);
    at += pool.write(`${words[random() % WORDS]?.slice(0, length)} `, at, 'latin1');
  }
  return pool;
}
