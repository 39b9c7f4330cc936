import { afterEach, beforeEach, describe, expect } from 'vitest';
import type { Backend } from '../../src/backends/contract/backend.ts';
import { isVarveError } from '../../src/core/errors.ts';
import { describeAppends } from './append-suite.ts';
import { auditOf } from './builders.ts';
import { describeCollection } from './collection-suite.ts';
import { describeCommits } from './commit-suite.ts';
import type { ConformanceOptions, Fixture, OpenedBackend } from './fixture.ts';
import { describeHolds } from './hold-suite.ts';
import { describeIds } from './id-suite.ts';
import { describeLifecycle } from './lifecycle-suite.ts';
import { describeListing } from './list-suite.ts';
import { describeMalformed } from './malformed-suite.ts';
import { describeModelEquivalence } from './model-equivalence-suite.ts';
import { describeOperations } from './operations-suite.ts';
import { describeOwnership } from './ownership-suite.ts';
import { describePublishing } from './publish-suite.ts';
import { describeSegments } from './segment-suite.ts';
import { describeSurveys } from './survey-suite.ts';

/**
 * The executable form of `src/backends/contract/backend.ts`: registers a suite that any
 * implementation must pass. Every test gets a store of its own, and after every test the store must
 * pass its own audit.
 *
 * ```ts
 * describeBackend('local directory', {
 *   open: async () => {
 *     const path = await mkdtemp(join(tmpdir(), 'varve-'));
 *     const again = () => openLocalBackend(path);
 *     const dispose = () => rm(path, { recursive: true });
 *     return { backend: await again(), reopen: again, second: again, dispose };
 *   },
 * });
 * ```
 */
export function describeBackend(name: string, options: ConformanceOptions): void {
  describe(name, () => {
    let opened: OpenedBackend;
    const fixture: Fixture = {
      get backend() {
        return opened.backend;
      },
      get opened() {
        return opened;
      },
      size: (usual) => Math.max(20, Math.ceil((usual * (options.scale ?? 1)) / 20) * 20),
    };
    describe('on a store of its own', () => {
      beforeEach(async () => {
        opened = await options.open();
      });
      afterEach(async () => {
        try {
          expect(await damageIn(opened.backend)).toEqual([]);
        } finally {
          await opened.dispose();
        }
      });
      describeCommits(fixture);
      describeAppends(fixture);
      describeMalformed(fixture);
      describeIds(fixture);
      describeSegments(fixture);
      describeOwnership(fixture);
      describeListing(fixture, options.manyManifests ?? 3000);
      describePublishing(fixture);
      describeCollection(fixture);
      describeHolds(fixture);
      describeOperations(fixture);
      describeSurveys(fixture);
      describeLifecycle(fixture);
    });
    describeModelEquivalence(options);
  });
}

/** What an audit finds beyond garbage; nothing when the test has closed the backend. */
async function damageIn(backend: Backend): Promise<string[]> {
  try {
    const { findings } = await auditOf(backend);
    return findings
      .filter(({ kind, harmful }) => harmful || kind === 'wrong-count')
      .map(({ message }) => message);
  } catch (error) {
    if (isVarveError(error, 'CLOSED')) return [];
    throw error;
  }
}
