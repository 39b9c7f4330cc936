/** Writes synthetic conversations of about the given number of bytes to standard output. */
import { once } from 'node:events';
import { caseParameters } from '../support/process.mjs';
import { ConversationSource } from '../support/synthetic.mjs';

const { bytes, seed, messages, messageBytes } = caseParameters();
const source = new ConversationSource({ seed, messages, messageBytes });
for (let written = 0; written < bytes; ) {
  const lines = source.next(64);
  written += lines.length;
  if (!process.stdout.write(lines)) await once(process.stdout, 'drain');
}
