/** A time zone: by how much its clocks are ahead of UTC, at any moment. */

export interface TimeZone {
  /** Milliseconds, a whole number of minutes, at a moment in milliseconds since 1970. */
  offsetAt(moment: number): number;
}

const MINUTE = 60_000;
/** Names of the IANA database; offsets such as +02:00 have no summer time, and are not what anybody means. */
const NAME = /^[A-Za-z][A-Za-z0-9_+/-]{1,63}$/;

/** Null when there is no such zone. */
export function findTimeZone(name: string): TimeZone | null {
  if (!NAME.test(name)) return null;
  try {
    return openTimeZone(name);
  } catch {
    return null;
  }
}

function openTimeZone(name: string): TimeZone {
  const numeric = { year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric' } as const;
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: name,
    calendar: 'gregory',
    hourCycle: 'h23',
    ...numeric,
  });
  return {
    offsetAt(moment) {
      const at = Math.floor(moment / MINUTE) * MINUTE;
      const parts = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, Number(value)]));
      const { year = 0, month = 1, day = 1, hour = 0, minute = 0 } = parts;
      return Date.UTC(year, month - 1, day, hour, minute) - at;
    },
  };
}
