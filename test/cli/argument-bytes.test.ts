import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { undecodedArgument } from '../../src/cli/session/argument-bytes.ts';
import { SAMPLE, Workplace } from './varve.ts';

const here = new Workplace();

function commandLine(...words: readonly (string | Buffer)[]): () => Buffer {
  return () => Buffer.concat(words.flatMap((word) => [Buffer.from(word), Buffer.from([0])]));
}

describe('arguments that are not UTF-8', () => {
  it('are found among those that have a U+FFFD', () => {
    const line = commandLine(
      'node',
      '--flag',
      'main.js',
      'rm',
      '\ufffd',
      Buffer.from([0x61, 0xff]),
    );
    expect(undecodedArgument(['rm', '\ufffd', 'a\ufffd'], line)).toBe('a\ufffd');
  });

  it('are accepted where a U+FFFD was given as such, or an argument is empty', () => {
    const args = ['rm', '', '\ufffd', ''];
    expect(undecodedArgument(args, commandLine('node', 'main.js', ...args))).toBeUndefined();
  });

  it('are not looked for without a U+FFFD, nor where the system does not provide the bytes', () => {
    const fail = () => {
      throw new Error('ENOENT');
    };
    expect(undecodedArgument(['rm', 'a'], fail)).toBeUndefined();
    expect(undecodedArgument(['rm', '\ufffd'], fail)).toBeUndefined();
  });

  it.skipIf(process.platform !== 'linux')('name no other conversation', () => {
    const store = here.path('store');
    here.succeed(['import', SAMPLE, '-s', store]);
    const named = JSON.stringify({ id: '\ufffd', messages: [] });
    here.process(['put', '-s', store], { input: named });
    const script = `exec "$0" "$1" rm "$(printf '\\377')" -s "$2"`;
    const cli = new URL('../../dist/cli/main.js', import.meta.url).pathname;
    const { status, stderr } = spawnSync('sh', ['-c', script, process.execPath, cli, store]);
    expect({ status, stderr: stderr.toString() }).toEqual({
      status: 2,
      stderr: 'varve: the argument "\ufffd" is not UTF-8: give it in UTF-8\n',
    });
    expect(here.process(['rm', '\ufffd', '-s', store])).toMatchObject({ status: 0 });
  });
});
