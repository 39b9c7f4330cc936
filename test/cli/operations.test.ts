import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { SAMPLE, Workplace } from './varve.ts';

const here = new Workplace();

function fresh(name: string): string {
  const location = here.path(name);
  here.succeed(['import', SAMPLE, '-s', location]);
  return location;
}

describe('varve blob', () => {
  const location = here.path('blobs');
  const content = randomBytes(700_000);
  const sha256 = createHash('sha256').update(content).digest('hex');
  writeFileSync(here.path('report.bin'), content);

  it('puts a file and gives its bytes back, whole and in ranges', () => {
    const put = [
      'blob',
      'put',
      'report',
      'report.bin',
      '--content-type',
      'application/x-report',
      '--application',
      'desk',
    ];
    expect(JSON.parse(here.succeed([...put, '--json', '-s', location]))).toMatchObject({
      name: 'report',
      status: 'created',
      bytes: content.length,
      sha256,
    });
    expect(here.succeed([...put, '-s', location])).toMatch(
      /^unchanged report: 700 kB, of which 0 B new\n/,
    );
    expect(here.varve(['blob', 'get', 'report', '-s', location]).bytes.equals(content)).toBe(true);
    const range = (text: string) =>
      here.varve(['blob', 'get', 'report', '--range', text, '-s', location]).bytes;
    expect(range('100000-299999').equals(content.subarray(100_000, 300_000))).toBe(true);
    expect(range('699990-').equals(content.subarray(699_990))).toBe(true);
    here.succeed(['blob', 'get', 'report', '-o', 'copy.bin', '-s', location]);
    expect(readFileSync(here.path('copy.bin')).equals(content)).toBe(true);
  });

  it('reads standard input, lists, describes, deletes', () => {
    here.succeed(['blob', 'put', 'note', '-s', location], { input: 'hello' });
    expect(here.succeed(['blob', 'ls', '-s', location])).toBe('report\nnote\n');
    expect(here.succeed(['blob', 'ls', '--application', 'desk', '-s', location])).toBe('report\n');
    expect(
      JSON.parse(here.succeed(['blob', 'stat', 'report', '--json', '-s', location])),
    ).toMatchObject({
      sha256,
      contentType: 'application/x-report',
    });
    expect(here.varve(['blob', 'put', 'note', '-s', location], { input: 'other' }).status).toBe(6);
    expect(here.varve(['blob', 'rm', 'note', 'nothing', '-s', location])).toMatchObject({
      status: 3,
      stdout: '1 blob deleted\n',
    });
    for (const verb of ['get', 'stat', 'rm'])
      expect(here.varve(['blob', verb, 'note', '-s', location]).status).toBe(4);
    expect(here.varve(['blob', 'get', 'report', '--range', '9-2', '-s', location]).status).toBe(2);
  });
});

describe('varve du and info', () => {
  it('show what is stored, for people and as one JSON document', () => {
    const location = fresh('du');
    const usage = JSON.parse(here.succeed(['du', '--json', '-s', location]));
    expect(usage.manifests.conversation).toEqual({
      count: 48,
      logicalBytes: readFileSync(SAMPLE).length,
    });
    expect(here.succeed(['du', '-s', location])).toMatch(/^conversations +48 +170 kB +as given\n/);
    expect(JSON.parse(here.succeed(['info', '--json', '-s', location]))).toMatchObject({
      conversations: 48,
      blobs: 0,
    });
    expect(here.succeed(['info', '-s', location])).toContain(location);
  });
});

describe('varve gc', () => {
  it('plans, waits for the grace, then collects', () => {
    const location = fresh('gc');
    const ids = here.succeed(['ls', '-s', location]).trimEnd().split('\n');
    here.succeed(['rm', ...ids, '-s', location]);
    const gc = (...args: string[]) =>
      JSON.parse(here.succeed(['gc', ...args, '--json', '-s', location]));
    const waiting = gc();
    expect(waiting).toMatchObject({ dryRun: false, collectedSegments: 0 });
    expect(waiting.waitingSegments).toBeGreaterThan(10);
    const planned = gc('--dry-run', '--grace', '0');
    expect(planned).toMatchObject({ dryRun: true, collectedSegments: waiting.waitingSegments });
    expect(gc('--grace', '0', '--full').collectedSegments).toBe(waiting.waitingSegments);
    expect(gc('--grace', '0')).toMatchObject({ collectedSegments: 0, waitingSegments: 0 });
    expect(here.succeed(['gc', '-n', '-s', location])).toMatch(/^would collect 0 segments/);
  });
});

describe('varve audit', () => {
  it('ends with 0 when nothing is wrong', () => {
    const location = fresh('sound');
    expect(here.succeed(['audit', '-s', location])).toMatch(/48 manifests.*nothing wrong\n$/);
    const { report } = JSON.parse(
      here.succeed(['audit', '--sample', '10%', '--json', '-s', location]),
    );
    expect(report).toMatchObject({ findings: 0, unrepaired: 0 });
  });

  it('ends with 5 and names what is damaged, as reading does', () => {
    const location = fresh('damaged');
    const packs = join(location, 'packs');
    for (const pack of readdirSync(packs)) {
      const bytes = readFileSync(join(packs, pack));
      for (let at = 200; at < bytes.length; at += 500) bytes[at] = (bytes[at] as number) ^ 0x10;
      writeFileSync(join(packs, pack), bytes);
    }
    const people = here.varve(['audit', '-s', location]);
    expect(people.status).toBe(5);
    expect(people.stdout).toMatch(/^corrupt-(data|manifest): .*\n/);
    const machine = here.varve(['audit', '--json', '-s', location]);
    const lines = machine.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.at(-1).report.unrepaired).toBeGreaterThan(0);
    expect(lines[0].finding).toMatchObject({ harmful: true, repaired: false });
    const exported = here.varve(['export', '-s', location]);
    expect(exported.status).toBe(5);
    expect(exported.stderr).toMatch(/^varve: .+ is left out: /m);
  });
});

describe('varve doctor', () => {
  const location = fresh('examined');

  it('finds nothing wrong with a sound store, and its exit code says what else it finds', () => {
    expect(here.succeed(['doctor', location])).toMatch(
      /: nothing wrong; [\d.]+ [kMGT]?B free, Node \d/,
    );
    expect(here.succeed(['doctor', '-s', location])).toContain('nothing wrong');
    writeFileSync(join(location, 'notes.txt'), 'mine');
    const untidy = here.varve(['doctor', location]);
    expect(untidy).toMatchObject({ status: 3, stderr: '' });
    expect(untidy.stdout).toContain('notes.txt does not belong to the store (move it elsewhere)');
    rmSync(join(location, 'packs'), { recursive: true });
    const { status, stdout } = here.varve(['doctor', location, '--json']);
    expect(status).toBe(5);
    expect(JSON.parse(stdout)).toMatchObject({
      findings: [{ kind: 'foreign' }, { kind: 'pack', harmful: true }],
    });
    expect(here.varve(['doctor', here.path('nowhere')]).status).toBe(4);
    expect(here.varve(['doctor', 's3://bucket/prefix']).status).toBe(2);
  });
});
