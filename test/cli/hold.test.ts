import { describe, expect, it } from 'vitest';
import { Workplace } from './varve.ts';

const here = new Workplace();

function storeWith(name: string, ...ids: string[]): string {
  const location = here.path(name);
  const lines = ids.map(
    (id) => `{"id":"${id}","messages":[{"role":"user","content":"${id} says"}]}\n`,
  );
  here.succeed(['import', '-', '-s', location], { input: lines.join('') });
  return location;
}

describe('varve hold', () => {
  it('keeps rm from a conversation, with exit code 6, until it is released', () => {
    const location = storeWith('held', 'a', 'b', 'c');
    expect(here.succeed(['hold', 'a', 'b', '--reason', 'case 12', '-s', location])).toBe(
      '2 conversations held\n',
    );
    const refused = here.varve(['rm', 'a', '-s', location]);
    expect(refused).toMatchObject({ status: 6, stdout: '0 conversations deleted\n' });
    expect(refused.stderr).toMatch(
      /conversation "a" is held since .* \(case 12\): release the hold first/,
    );
    expect(here.succeed(['hold', '--release', 'a', '-s', location])).toBe(
      '1 conversation released\n',
    );
    expect(here.succeed(['rm', 'a', '-s', location])).toBe('1 conversation deleted\n');
    expect(here.succeed(['ls', '-s', location])).toBe('b\nc\n');
  });

  it('prints a reason on one line, without characters on which a terminal would act', () => {
    const location = storeWith('hostile', 'a', 'b');
    here.succeed(['hold', 'a', '--reason', 'red \u001b[31m\nand a line', '-s', location]);
    const { stderr } = here.varve(['rm', 'a', '-s', location]);
    expect(stderr).toContain('(red \\u{1b}[31m\\u{a}and a line): release the hold first');
    const [line] = here
      .succeed(['prune', '--idle-for', '0', '-n', '-s', location])
      .split('\n')
      .filter((each) => each.startsWith('held'));
    expect(line).toBe('held ("red \\u001b[31m\\nand a line"): a, last written to before now');
  });

  it('deletes those that are not held beside those that are, and says so with exit code 3', () => {
    const location = storeWith('mixed', 'a', 'b');
    here.succeed(['hold', 'a', '-s', location]);
    const { status, stdout } = here.varve(['rm', 'a', 'b', 'nothing', '--json', '-s', location]);
    expect(status).toBe(3);
    expect(JSON.parse(stdout)).toEqual({ deleted: ['b'], absent: ['nothing'], held: ['a'] });
  });

  it('lists what is held, when and why', () => {
    const location = storeWith('listed', 'a', 'b');
    expect(here.succeed(['hold', '--list', '-s', location])).toBe('');
    here.succeed(['hold', 'b', '--reason', 'audit', '-s', location]);
    expect(here.succeed(['hold', '--list', '-s', location])).toMatch(
      /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}b {2}audit\n$/,
    );
    expect(JSON.parse(here.succeed(['hold', '--list', '--json', '-s', location]))).toMatchObject({
      id: 'b',
      hold: { reason: 'audit' },
    });
    expect(here.succeed(['stat', 'b', '-s', location])).toMatch(/^held +since .*: audit$/m);
  });

  it('reports conversations that do not exist, and those that were in that state already', () => {
    const location = storeWith('twice', 'a');
    here.succeed(['hold', 'a', '-s', location]);
    expect(here.succeed(['hold', 'a', '-s', location])).toBe(
      '0 conversations held, 1 held before\n',
    );
    expect(here.varve(['hold', 'a', 'no', '-s', location]).status).toBe(3);
    const { status, stderr } = here.varve(['hold', 'no', '-s', location]);
    expect(status).toBe(4);
    expect(stderr).toContain('there is no conversation "no"');
  });

  it('refuses what makes no sense', () => {
    const location = storeWith('sense', 'a');
    for (const args of [[], ['--list', 'a'], ['--release'], ['--release', '--reason', 'x', 'a']]) {
      expect(here.varve(['hold', ...args, '-s', location]).status).toBe(2);
    }
  });

  it('does not let an import replace a conversation, but lets it append', () => {
    const location = storeWith('import', 'a');
    here.succeed(['hold', 'a', '-s', location]);
    const other = '{"id":"a","messages":[{"role":"user","content":"other"}]}\n';
    expect(
      here.varve(['import', '-', '--if-exists', 'replace', '-s', location], { input: other })
        .status,
    ).not.toBe(0);
    const longer =
      '{"id":"a","messages":[{"role":"user","content":"a ' +
      'says"},{"role":"assistant","content":"yes"}]}\n';
    here.succeed(['import', '-', '--if-exists', 'append', '-s', location], { input: longer });
    expect(here.succeed(['export', '-s', location])).toBe(longer);
  });
});
