import type { Address } from '../../address.ts';
import type { Clock } from './clock.ts';
import { DAMAGE_HINTS_PREFIX } from './keys.ts';
import { listObjects } from './listing.ts';
import type { Protocol } from './protocol.ts';

/** How long a writer goes by what it knows of damage, in ms. */
const REFRESH_MS = 10 * 60 * 1000;

/** Segments that an audit found damaged: rarely any, so a writer asks once in a while and heals what it has the bytes of. */
export class DamageNotes {
  readonly #protocol: Pick<Protocol, 'store' | 'serverClock'>;
  readonly #clock: Clock;
  #addresses: ReadonlySet<Address> = new Set();
  #readAt: number | undefined;

  constructor(protocol: Pick<Protocol, 'store' | 'serverClock' | 'clock'>) {
    this.#protocol = protocol;
    this.#clock = protocol.clock;
  }

  async known(): Promise<ReadonlySet<Address>> {
    const now = this.#clock.monotonic();
    if (this.#readAt !== undefined && now - this.#readAt < REFRESH_MS) return this.#addresses;
    this.#readAt = now;
    const addresses = new Set<Address>();
    for await (const { key } of listObjects(this.#protocol, DAMAGE_HINTS_PREFIX)) {
      addresses.add(key.slice(DAMAGE_HINTS_PREFIX.length) as Address);
    }
    this.#addresses = addresses;
    return addresses;
  }

  /** Asks again before the next use. */
  forget(): void {
    this.#readAt = undefined;
  }

  async remove(address: Address): Promise<void> {
    await this.#protocol.store.delete([`${DAMAGE_HINTS_PREFIX}${address}`]);
    this.forget();
  }
}
