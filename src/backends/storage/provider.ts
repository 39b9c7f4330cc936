import type { ObjectStore, RequestOptions } from './object-store.ts';
import type { RequestMeter } from './request-meter.ts';

/**
 * A **provider** is a folder of this one that talks to a kind of service. Each has the same set of
 * files, named after it; `s3/` for example:
 *
 * - `s3-location.ts`: where a store is and how to reach it, read from a URL or an object, and
 *   written without what is secret;
 * - `s3-client.ts`: a client of the service for a location;
 * - `s3-requests.ts`: sends single requests, each once, bounded and counted;
 * - `s3-failure.ts`: what an answer that is an error says, and whether the request may have
 *   happened;
 * - `s3-settings.ts`: checks of the bucket's settings;
 * - `s3-objects.ts`: the {@link Provider}, put together of these;
 * - `open-s3-objects.ts`: opens it; nothing else of the folder is called from outside, but for the
 *   location.
 *
 * More files are the provider's own affair. `test/object/storage/object-store-contract.ts` is the
 * executable form of {@link ObjectStore}, which each provider passes. `open-s3.ts` of the backend
 * on objects shows how a provider becomes a store.
 */
export interface Provider extends ObjectStore {
  /** Counts the requests that are sent, those of a large object included. */
  readonly meter: RequestMeter;

  /**
   * Looks whether the bucket can keep a store: that it exists, and that nothing but its users
   * deletes from it. What may do harm is a warning. Returns whether it is sound as far as can be
   * seen, so that other processes need not look again soon.
   *
   * @throws `NOT_FOUND`, `DENIED`, `INVALID_ARGUMENT`; what requests throw.
   */
  checkBucket(
    onWarning: (message: string) => void,
    options?: RequestOptions,
  ): Promise<{ readonly isSound: boolean }>;
}
