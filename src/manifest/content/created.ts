const ISO_8601 =
  /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)\s*(Z|[+-]\d\d(?::?\d\d)?)?)?$/i;

/**
 * Smaller numbers are seconds since the epoch (up to the year 5138); greater ones are milliseconds.
 */
const SECONDS_BELOW = 1e11;

/** The latest time that a Date can represent. */
const LATEST = 8.64e15;

/**
 * Parses the creation time of a conversation, in milliseconds since the epoch: ISO 8601 (UTC when
 * it has no zone, so that every machine reads the same), seconds since the epoch as OpenAI writes
 * them, or milliseconds. `undefined` for anything else.
 */
export function parseCreated(value: string | number): number | undefined {
  const time =
    typeof value === 'string' ? parseIso(value) : value < SECONDS_BELOW ? value * 1000 : value;
  return Number.isFinite(time) && time >= 0 && time <= LATEST ? Math.floor(time) : undefined;
}

function parseIso(value: string): number {
  const [, date, time = '00:00', zone = 'Z'] = ISO_8601.exec(value) ?? [];
  if (date === undefined) return Number.NaN;
  const offset = /^[+-]\d\d$/.test(zone)
    ? `${zone}:00`
    : zone.replace(/^([+-]\d\d)(\d\d)$/, '$1:$2');
  return Date.parse(`${date}T${time.replace(',', '.')}${offset.toUpperCase()}`);
}
