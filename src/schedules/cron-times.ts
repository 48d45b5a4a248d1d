/**
 * The moments of a cron expression in a time zone. Where clocks are put forward, a time that they pass over is due once, at
 * the shift; where they are put back, a time that comes twice is due when it comes first. An expression for every hour means
 * intervals: it goes on through both as if nothing had happened. (The cron of Debian does the same.)
 */
import type { Cron } from './cron.ts';
import type { TimeZone } from './time-zone.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** More than any zone is ahead or behind: what is this far away from a day's midnights in UTC is not that day. */
const MARGIN = 26 * HOUR;
/** From one 29 February to the next it may be eight years. */
const MAX_DAYS = 9 * 366;

export interface CronClock {
  readonly cron: Cron;
  readonly zone: TimeZone;
}

/** The first moment after this one, both in milliseconds since 1970. An expression without any, as on 30 February, is refused when it is read. */
export function nextTime(clock: CronClock, after: number): number {
  const first = localDay(clock, after) - 1;
  for (let day = first; day < first + MAX_DAYS; day += 1) {
    // Clocks that are put back over midnight make two days overlap.
    const times = timesOfDay(clock, day).filter((time) => time > after);
    if (times.length > 0) return Math.min(...times, ...timesOfDay(clock, day + 1).filter((time) => time > after));
  }
  throw new Error('the expression has no time');
}

/** The last moments of a range, its ends included, at most `max`, in their order. Costs as much as the range has days. */
export function lastTimes(
  clock: CronClock,
  range: { readonly from: number; readonly to: number },
  max: number,
): number[] {
  const { from, to } = range;
  const found = new Set<number>();
  let enough = false;
  for (let day = localDay(clock, to) + 1; day >= localDay(clock, from) - 1; day -= 1) {
    for (const time of timesOfDay(clock, day)) if (time >= from && time <= to) found.add(time);
    if (enough) break;
    enough = found.size >= max;
  }
  return [...found].toSorted((a, b) => a - b).slice(-max);
}

/** Days since 1970, as a calendar on the wall there shows. */
function localDay({ zone }: CronClock, moment: number): number {
  return Math.floor((moment + zone.offsetAt(moment)) / DAY);
}

function isDay({ months, daysOfMonth, daysOfWeek, eitherDay }: Cron, day: number): boolean {
  const date = new Date(day * DAY);
  if (!months.includes(date.getUTCMonth() + 1)) return false;
  const ofMonth = daysOfMonth.includes(date.getUTCDate());
  const ofWeek = daysOfWeek.includes(date.getUTCDay());
  return eitherDay ? ofMonth || ofWeek : ofMonth && ofWeek;
}

/** The moments that belong to a day of the calendar there. */
function timesOfDay({ cron, zone }: CronClock, day: number): number[] {
  if (!isDay(cron, day)) return [];
  const walls = cron.hours.flatMap((hour) => cron.minutes.map((minute) => day * DAY + hour * HOUR + minute * MINUTE));
  const before = zone.offsetAt(day * DAY - MARGIN);
  const after = zone.offsetAt((day + 1) * DAY + MARGIN);
  if (before === after) return walls.map((wall) => wall - before);
  const shift = findShift(zone, { from: day * DAY - MARGIN, to: (day + 1) * DAY + MARGIN });
  const times = walls.flatMap((wall) => {
    const earlier = wall - Math.max(before, after);
    const later = wall - Math.min(before, after);
    const real = [earlier, later].filter((time) => time + (time < shift ? before : after) === wall);
    if (cron.everyHour) return real;
    return real[0] ?? shift;
  });
  return [...new Set(times)];
}

/** When the clocks are put to another time, by halving; to the minute. */
function findShift(zone: TimeZone, range: { readonly from: number; readonly to: number }): number {
  let [from, to] = [range.from / MINUTE, range.to / MINUTE];
  const before = zone.offsetAt(range.from);
  while (to - from > 1) {
    const middle = Math.floor((from + to) / 2);
    if (zone.offsetAt(middle * MINUTE) === before) from = middle;
    else to = middle;
  }
  return to * MINUTE;
}
