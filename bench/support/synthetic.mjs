/**
 * Made-up conversations: word-like text that compresses like English, no two messages alike, cheap
 * to make.
 */
import { hash } from 'node:crypto';
import { randomIntegers } from './statistics.mjs';

/** Text is cut from a pool of this many bytes at random places. */
const POOL_BYTES = 16 * 1024 * 1024;

const WORDS = 4096;

/**
 * @typedef {object} Shape
 * @property {number} seed
 * @property {number} messages of each conversation, prompts not counted
 * @property {number} messageBytes of each
 * @property {number} [prompts] how many system prompts the conversations share; default: none
 * @property {number} [promptBytes] length of each prompt
 * @property {(number: number) => string} [modelOf] of the conversation with that number, from 0
 */

/**
 * The id of a conversation: in no order, as random UUIDs are.
 *
 * @param {number} number from 0
 */
export function syntheticId(number) {
  return hash('sha1', `conversation ${number}`).slice(0, 32);
}

/** Makes lines of JSONL, always the same ones for a seed. */
export class ConversationSource {
  #made = 0;
  #random;
  #pool;
  #messages;
  #messageBytes;
  #modelOf;
  /** @type {readonly string[]} */
  #prompts;

  /** @param {Shape} shape of every conversation */
  constructor(shape) {
    const { seed, messages, messageBytes, prompts = 0, promptBytes = 0 } = shape;
    this.#random = randomIntegers(seed);
    this.#pool = textPool(this.#random);
    this.#messages = messages;
    this.#messageBytes = messageBytes;
    this.#modelOf = shape.modelOf ?? (() => 'synthetic');
    this.#prompts = Array.from({ length: prompts }, () => {
      const from = this.#random() % (POOL_BYTES - promptBytes);
      const text = this.#pool.toString('latin1', from, from + promptBytes);
      return `{"role":"system","content":"${text}"},`;
    });
  }

  /**
   * The next conversations, one a line.
   *
   * @param {number} count
   */
  next(count) {
    const most = this.#messages * (this.#messageBytes + 64) + (this.#prompts[0]?.length ?? 0) + 128;
    const out = Buffer.allocUnsafe(count * most);
    let at = 0;
    for (let end = this.#made + count; this.#made < end; this.#made++) {
      const id = syntheticId(this.#made);
      const model = this.#modelOf(this.#made);
      const prompt = this.#prompts[this.#made % this.#prompts.length] ?? '';
      at += out.write(
        `{"id":"${id}","model":"${model}","application":"bench","messages":[${prompt}`,
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
