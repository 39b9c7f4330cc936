/**
 * Many writers, each with a store of its own, reference one segment at the same time; then the
 * plain design's increment loop.
 */
import { importVarve } from '../support/library.mjs';
import { openPlain } from '../support/plain-design.mjs';
import { caseParameters } from '../support/process.mjs';

const { store: location, writers, puts, mode } = caseParameters();
const text = 'the one segment that all of them have in common. '.repeat(100);
let failures = 0;
let references = 0;

/** @param {(writer: number, put: number) => Promise<void>} write */
async function race(write) {
  const begun = performance.now();
  await Promise.all(
    Array.from({ length: writers }, async (_, writer) => {
      for (let put = 0; put < puts; put++) {
        try {
          await write(writer, put);
        } catch {
          failures++;
        }
      }
    }),
  );
  return performance.now() - begun;
}

let ms = 0;
if (mode === 'plain') {
  const plain = await openPlain(location);
  ms = await race(() => plain.increment('0'.repeat(64)));
  const count = await plain.objects.get(`counts/${'0'.repeat(64)}`);
  references = Number(Buffer.from(count?.body ?? []).toString());
  await plain.close();
} else {
  const { addressOf, openStore } = await importVarve();
  const first = await openStore(location);
  const stores = await Promise.all(
    Array.from({ length: writers }, () => openStore(location, { create: false })),
  );
  ms = await race(async (writer, put) => {
    const conversation = { id: `w${writer} p${put}`, messages: [{ role: 'user', content: text }] };
    await stores[writer]?.conversations.put(conversation);
  });
  const [locator] = await first.backend.find([addressOf(Buffer.from(text))]);
  if (locator !== undefined)
    references = (await first.backend.describe([locator]))[0]?.references ?? 0;
  let unrepaired = 0;
  for await (const finding of first.audit()) {
    unrepaired++;
    console.error(finding.message);
  }
  if (unrepaired > 0) throw new Error('the audit found something');
  for (const store of [...stores, first]) await store.close();
}
console.log(
  JSON.stringify({
    attempts: writers * puts,
    failures,
    references,
    ms,
    perSecond: ((writers * puts - failures) * 1000) / ms,
  }),
);
