import { type CollectReport, type Duration, isVarveError, openStore } from 'varve';

/** An event of a scheduled EventBridge rule, as far as it is used here. */
export interface ScheduledEvent {
  readonly detail?: {
    /** Default: 24h. */
    readonly grace?: Duration;
  };
}

/** What Lambda hands over beside the event, as far as it is used here. */
export interface InvocationContext {
  getRemainingTimeInMillis(): number;
}

export interface Outcome {
  /**
   * `false`: the time was up; what was done is done, and the next invocation continues from there.
   */
  readonly finished: boolean;
  readonly report?: CollectReport;
}

/** Left for closing the store and answering, in ms. */
const MARGIN_MS = 5000;

/**
 * Collects the store that the environment names in VARVE_STORE, within the time that this
 * invocation has.
 */
export async function handler(event: ScheduledEvent, context: InvocationContext): Promise<Outcome> {
  const location = process.env.VARVE_STORE;
  if (!location) throw new Error('set VARVE_STORE, such as s3://bucket/prefix?region=eu-west-1');
  const store = await openStore(location, { create: false });
  try {
    const left = context.getRemainingTimeInMillis() - MARGIN_MS;
    if (left <= 0) return { finished: false };
    const signal = AbortSignal.timeout(left);
    const report = await store.gc.run({ grace: event.detail?.grace ?? '24h', signal });
    return { finished: true, report };
  } catch (error) {
    if (isVarveError(error, 'ABORTED')) return { finished: false };
    // Lambda retries what throws, and counts it as an error of the function.
    throw error;
  } finally {
    await store.close();
  }
}
