/**
 * What a store of objects of any size asks of its service, in requests, dollars and hours: no
 * measurement but a calculation, by formulas that a test compares with counted requests. Prices are
 * an input; the defaults are those of S3 Standard in us-east-1, as of November 2026.
 */
import { FORMULAS } from '../support/request-formulas.mjs';
import { table } from '../support/table.mjs';

export const summary = 'requests, dollars and hours of a store of objects of any size, calculated';
export const options = /** @type {const} */ ({
  conversations: { type: 'string', default: '1e8' },
  segments: { type: 'string', default: '1e9' },
  latency: { type: 'string', default: '50' },
  concurrency: { type: 'string', default: '32' },
  'put-price': { type: 'string', default: '0.005' },
  'get-price': { type: 'string', default: '0.0004' },
});

/** The default prices are for this many requests. */
const PRICED = 1_000;

const MS_PER_HOUR = 3_600_000;

/**
 * @param {readonly unknown[]} _corpora
 * @param {Record<keyof typeof options, string>} given
 */
export async function measure(_corpora, given) {
  const number = (/** @type {keyof typeof options} */ name) => Number(given[name]);
  const archive = {
    conversations: number('conversations'),
    segments: number('segments'),
  };
  const verbs = Object.entries(FORMULAS).map(([verb, formula]) => {
    const {
      get = 0,
      head = 0,
      put = 0,
      list = 0,
      delete: deletes = 0,
      serial = 0,
    } = formula(archive);
    const requests = get + head + put + list + deletes;
    // DELETE is free.
    const dollars =
      ((get + head) * number('get-price') + (put + list) * number('put-price')) / PRICED;
    const rounds = serial + (requests - serial) / number('concurrency');
    return { verb, requests, dollars, hours: (rounds * number('latency')) / MS_PER_HOUR };
  });
  const title =
    `${given.conversations} conversations, ${given.segments} segments; ` +
    `${given.latency} ms a request, ${given.concurrency} under way`;
  const rows = verbs.map(({ verb, requests, dollars, hours }) => [
    verb,
    short(requests),
    short(dollars),
    short(hours),
  ]);
  return { results: verbs, tables: [table(title, ['', 'requests', '$', 'hours'], rows)] };
}

/** @param {number} value in at most three digits that say something */
function short(value) {
  if (value === 0) return '0';
  if (value < 0.01) return '< 0.01';
  return new Intl.NumberFormat('en', { maximumSignificantDigits: 3 }).format(value);
}
