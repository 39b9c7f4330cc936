import { describe, expect, it } from 'vitest';
import { SAMPLE, Workplace } from './varve.ts';

const here = new Workplace();
const location = here.path('store');
here.succeed(['import', SAMPLE, '-s', location]);

describe('varve du', () => {
  it('breaks down what is stored, in columns that add up', () => {
    const lines = here.succeed(['du', '--by', 'model', '-s', location]).trimEnd().split('\n');
    expect(lines[0]).toMatch(
      /^model +count +as given +content +- shared +- compressed +(= stored)$/,
    );
    expect(lines.at(-3)).toMatch(/^all +48 /);
    expect(lines.at(-1)).toMatch(/^the store +\d/);
    const { parts, total, otherBytes, usage } = JSON.parse(
      here.succeed(['du', '--by', 'model', '--json', '-s', location]),
    );
    expect(parts).toHaveLength(lines.length - 4);
    expect(
      parts.reduce((sum: number, part: { manifests: number }) => sum + part.manifests, 0),
    ).toBe(48);
    expect(total.storedBytes + otherBytes).toBe(usage.storedBytes);
    expect(total.contentBytes - total.deduplicatedBytes - total.compressedBytes).toBe(
      total.storedBytes,
    );
  });

  it('lists months and applications, and the segments that are shared most', () => {
    for (const by of ['month', 'application']) here.succeed(['du', '--by', by, '-s', location]);
    const lines = here.succeed(['du', '--top', '3', '-s', location]).trimEnd().split('\n');
    expect(lines.at(-4)).toMatch(/^segment +size +references +saved +for example in$/);
    expect(lines.at(-1)).toMatch(/^[0-9a-f]{64} .* conversation /);
    expect(here.varve(['du', '--by', 'tenant', '-s', location]).status).toBe(2);
  });
});
