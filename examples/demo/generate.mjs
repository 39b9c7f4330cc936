/**
 * Sessions of three made-up agents as JSONL, the same ones at every run.
 *
 * They have what real logs have: a long system prompt and tool definitions that every session
 * repeats, tool results that many sessions share, and little text of their own. Some lines are
 * written the way other JSON writers write (spaces, `1.0`, escapes), because an archive has to give
 * those back as they were, too.
 *
 * Usage: node examples/demo/generate.mjs 48 > examples/demo/sample.jsonl
 */
import { fileURLToPath } from 'node:url';
import { AGENTS } from './agents.mjs';

const WORDS = [
  'amber',
  'birch',
  'cobalt',
  'dune',
  'ember',
  'fjord',
  'garnet',
  'heath',
  'indigo',
  'juniper',
  'kelp',
  'loam',
];

/**
 * A linear congruential generator (Numerical Recipes, 2nd edition, section 7.1): small, and the
 * same everywhere.
 */
const SEED = 20260101;
let state = SEED;
function random(/** @type {number} */ below) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
}

/** @template T @param {readonly T[]} list @returns {T} */
function pick(list) {
  return /** @type {T} */ (list[random(list.length)]);
}

/** Something that no other session has. */
const reference = () => `${pick(WORDS)}-${pick(WORDS)}-${1000 + random(9000)}`;
const clock = () => `${8 + random(12)}:${String(random(60)).padStart(2, '0')}`;

/** @param {number} number */
function session(number) {
  const agent = /** @type {import('./agents.mjs').Agent} */ (AGENTS[number % AGENTS.length]);
  const messages = [{ role: 'system', content: agent.prompt }];
  const person = pick(agent.people);
  for (let turn = 0, turns = 1 + random(3); turn < turns; turn++) {
    const { question, tool, answer } = pick(agent.topics);
    const subject = pick(Object.keys(tool.results));
    const fill = (/** @type {string} */ text) =>
      text.replaceAll('{subject}', subject).replaceAll('{person}', person);
    const call = `call_${number}_${turn}`;
    messages.push(
      { role: 'user', content: fill(pick(question)) },
      /** @type {any} */ ({
        role: 'assistant',
        content: null,
        tool_calls: [
          {
            id: call,
            type: 'function',
            function: { name: tool.name, arguments: JSON.stringify({ [tool.key]: subject }) },
          },
        ],
      }),
      /** @type {any} */ ({
        role: 'tool',
        tool_call_id: call,
        content: `${random(2) ? `as of ${clock()}, request ${reference()}\n` : ''}${tool.results[subject]}`,
      }),
      { role: 'assistant', content: `${fill(pick(answer))} (${reference()})` },
    );
  }
  const id = `${agent.name}/session-${String(number).padStart(4, '0')}`;
  const created = new Date(Date.UTC(2026, 0, 5, 8) + number * 47 * 60_000).toISOString();
  return {
    id,
    application: agent.name,
    model: agent.model,
    created_at: created,
    temperature: 1,
    tools: agent.tools,
    messages,
  };
}

/** @param {object} value @param {number} number */
function line(value, number) {
  const text = JSON.stringify(value).replace('"temperature":1,', '"temperature":1.0,');
  if (number % 4 === 1)
    return text.replaceAll('"role":"', '"role": "').replaceAll('"content":"', '"content": "');
  if (number % 4 === 2) return text.replaceAll('–', '\\u2013').replaceAll('é', '\\u00e9');
  return text;
}

/** The first `count` sessions, a line each. @param {number} count */
export function sampleLines(count) {
  state = SEED;
  return Array.from({ length: count }, (_, number) => `${line(session(number), number)}\n`).join(
    '',
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  process.stdout.write(sampleLines(Number(process.argv[2] ?? 48)));
