import { isUtf8 } from 'node:buffer';
import { readFileSync } from 'node:fs';

const REPLACEMENT = '\ufffd';

/**
 * Returns the first argument that is not UTF-8. Node replaces what it cannot decode with U+FFFD, so
 * such an argument could name a conversation, file or store that was not meant.
 *
 * @param commandLine reads the arguments as bytes, each ended by NUL, those of Node first. Where
 *   the system does not provide them, every argument is accepted.
 */
export function undecodedArgument(
  args: readonly string[],
  commandLine: () => Uint8Array = () => readFileSync('/proc/self/cmdline'),
): string | undefined {
  if (!args.some((arg) => arg.includes(REPLACEMENT))) return undefined;
  const given = bytesOf(commandLine).slice(-args.length);
  return args.find((_, index) => given[index] !== undefined && !isUtf8(given[index]));
}

function bytesOf(commandLine: () => Uint8Array): Uint8Array[] {
  let line: Buffer;
  try {
    line = Buffer.from(commandLine());
  } catch {
    return [];
  }
  const words: Uint8Array[] = [];
  for (let start = 0; start < line.length; ) {
    const found = line.indexOf(0, start);
    const end = found === -1 ? line.length : found;
    words.push(line.subarray(start, end));
    start = end + 1;
  }
  return words;
}
