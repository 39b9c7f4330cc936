import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { abortOf } from '../abort.ts';
import type { Clock, Randomness } from './clock.ts';

export class SystemClock implements Clock {
  monotonic(): number {
    return performance.now();
  }

  /** Includes fractions of a millisecond, which order what is archived within one. */
  now(): number {
    return performance.timeOrigin + performance.now();
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    await sleep(ms, undefined, abortOf(signal));
  }
}

export class SystemRandomness implements Randomness {
  nonce(): string {
    return randomBytes(9).toString('base64url');
  }

  fraction(): number {
    return Math.random();
  }
}
