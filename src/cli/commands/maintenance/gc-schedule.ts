import type { CollectReport } from '../../../backends/contract/collection.ts';
import type { GarbageCollectionOptions } from '../../../gc/garbage-collection.ts';
import type { ScheduleOptions } from '../../../gc/schedule.ts';
import { collectLines } from '../../messages/collect-lines.ts';
import { timestamp } from '../../messages/human.ts';
import type { Session } from '../../session/session.ts';

/**
 * `gc --every`: runs until a signal ends it, which counts as success. Prints a line, or a JSON
 * object, for each run on standard output.
 */
export async function collectRegularly(
  session: Session,
  options: ScheduleOptions & Omit<GarbageCollectionOptions, 'signal'>,
): Promise<void> {
  session.endsBySignal = true;
  const store = await session.open('change');
  let failure: unknown;
  const print = (report: CollectReport): void => {
    const line = session.json
      ? JSON.stringify({ at: Date.now(), report })
      : `${timestamp(Date.now())} ${collectLines(report)[0]}`;
    if (session.quiet && !session.json) return;
    session.output.line(line).catch((error) => {
      failure ??= error;
      void schedule.stop();
    });
  };
  const schedule = store.gc.schedule({
    ...options,
    signal: session.signal,
    onReport: print,
    onError: (error) => session.warn(`${timestamp(Date.now())} ${error.message}`),
    onSkip: () => session.note(`${timestamp(Date.now())} another process is collecting this store`),
  });
  await schedule.ended;
  if (failure !== undefined) throw failure;
}
