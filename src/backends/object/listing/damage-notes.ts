import type { Address } from '../../../core/address.ts';
import { listObjects } from '../../storage/listing.ts';
import { DAMAGE_HINTS_PREFIX, damageHintKey } from '../format/keys.ts';
import type { Protocol } from '../tables/protocol.ts';

/** How long a writer relies on its knowledge of damage, in ms. */
const REFRESH_MS = 10 * 60 * 1000;

/** Damage notes that all calls of an open store share. */
export class DamageMemory {
  addresses: ReadonlySet<Address> = new Set();
  readAt: number | undefined;
}

/**
 * Segments that an audit found damaged: there are rarely any, so a writer reads the notes now and
 * then and heals what it has the bytes of.
 */
export class DamageNotes {
  readonly #protocol: Pick<Protocol, 'store' | 'serverClock' | 'clock'>;
  readonly #memory: DamageMemory;

  constructor(protocol: Pick<Protocol, 'store' | 'serverClock' | 'clock'>, memory: DamageMemory) {
    this.#protocol = protocol;
    this.#memory = memory;
  }

  async known(): Promise<ReadonlySet<Address>> {
    const now = this.#protocol.clock.monotonic();
    const { readAt } = this.#memory;
    if (readAt !== undefined && now - readAt < REFRESH_MS) return this.#memory.addresses;
    this.#memory.readAt = now;
    const addresses = new Set<Address>();
    for await (const { key } of listObjects(this.#protocol, DAMAGE_HINTS_PREFIX)) {
      addresses.add(key.slice(DAMAGE_HINTS_PREFIX.length) as Address);
    }
    this.#memory.addresses = addresses;
    return addresses;
  }

  /** Reads the notes again before the next use. */
  forget(): void {
    this.#memory.readAt = undefined;
  }

  async remove(address: Address): Promise<void> {
    await this.#protocol.store.delete([damageHintKey(address)]);
    this.forget();
  }
}
