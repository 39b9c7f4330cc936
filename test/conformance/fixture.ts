import type { Backend } from '../../src/backends/contract/backend.ts';

/** A new, empty store and the ways to get at it. */
export interface OpenedBackend {
  readonly backend: Backend;
  /**
   * Opens the same store again after `backend` was closed. Absent: what is stored does not outlive
   * a handle.
   */
  readonly reopen?: () => Promise<Backend>;
  /** Opens the same store while `backend` is open. Absent: one handle at a time. */
  readonly second?: () => Promise<Backend>;
  /** Opens the same store for reading only, while `backend` is open. Absent: cannot be done. */
  readonly readOnly?: () => Promise<Backend>;
  /** Closes all that was opened and removes the store. */
  readonly dispose: () => Promise<void>;
}

export interface ConformanceOptions {
  readonly open: () => Promise<OpenedBackend>;
  /** Runs of the comparison with the model; each has a store of its own. Default: 25. */
  readonly modelRuns?: number;
  /**
   * Whether the store has segments that no writer named: then the comparison with the model leaves
   * out how many there are. Default: false.
   */
  readonly hasOwnSegments?: boolean;
  /** Manifests in the tests of long lists. Default: 3,000. */
  readonly manyManifests?: number;
  /**
   * The share of the usual size at which tests of many things run: where each costs a request, 1
   * takes long. Default: 1.
   */
  readonly scale?: number;
}

/** The store of the test that is running. */
export interface Fixture {
  readonly backend: Backend;
  readonly opened: OpenedBackend;
  /** Of a number of things, how many to try: a multiple of 20, and at least that. */
  readonly size: (usual: number) => number;
}
