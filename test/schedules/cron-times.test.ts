/** Which moments a cron expression means: cases from the tables of time zones, and a model that walks minute by minute. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Cron, parseCron } from '../../src/schedules/cron.ts';
import { lastTimes, nextTime } from '../../src/schedules/cron-times.ts';
import { findTimeZone, type TimeZone } from '../../src/schedules/time-zone.ts';

const MINUTE = 60_000;
const DAY = 86_400_000;

function cronOf(text: string): Cron {
  const parsed = parseCron(text);
  if (!parsed.ok) throw new Error(parsed.problem);
  return parsed.cron;
}

function zoneOf(name: string): TimeZone {
  const zone = findTimeZone(name);
  if (!zone) throw new Error(`no zone ${name}`);
  return zone;
}

/** The next moments after this one, in UTC without seconds. */
function next(cron: string, zone: string, after: string, count = 3): string[] {
  const clock = { cron: cronOf(cron), zone: zoneOf(zone) };
  const times: string[] = [];
  for (let at = Date.parse(after); times.length < count; ) {
    at = nextTime(clock, at);
    times.push(new Date(at).toISOString().slice(0, 16));
  }
  return times;
}

test.each([
  [
    'a time that does not exist is due once, at the shift',
    '30 2 * * *',
    'Europe/Berlin',
    '2026-03-28T12:00Z',
    ['2026-03-29T01:00', '2026-03-30T00:30', '2026-03-31T00:30'],
  ],
  [
    'several that do not exist are one',
    '10,20,30 2 * * *',
    'Europe/Berlin',
    '2026-03-28T12:00Z',
    ['2026-03-29T01:00', '2026-03-30T00:10'],
  ],
  [
    'one that exists twice is due when it comes first',
    '30 2 * * *',
    'Europe/Berlin',
    '2026-10-24T12:00Z',
    ['2026-10-25T00:30', '2026-10-26T01:30'],
  ],
  [
    'every hour goes on when clocks are put back',
    '0 * * * *',
    'Europe/Berlin',
    '2026-10-24T23:30Z',
    ['2026-10-25T00:00', '2026-10-25T01:00', '2026-10-25T02:00'],
  ],
  [
    'every hour goes on when clocks are put forward',
    '30 * * * *',
    'America/New_York',
    '2026-03-08T06:00Z',
    ['2026-03-08T06:30', '2026-03-08T07:30', '2026-03-08T08:30'],
  ],
  [
    'half an hour is put forward on Lord Howe',
    '15 2 * * *',
    'Australia/Lord_Howe',
    '2026-10-02T20:00Z',
    ['2026-10-03T15:30', '2026-10-04T15:15'],
  ],
  [
    'clocks that are put forward at midnight',
    '30 0 * * *',
    'Africa/Cairo',
    '2026-04-22T23:00Z',
    ['2026-04-23T22:00', '2026-04-24T21:30'],
  ],
  [
    'a day that does not exist',
    '0 12 * * *',
    'Pacific/Apia',
    '2011-12-29T22:00Z',
    ['2011-12-30T10:00', '2011-12-30T22:00'],
  ],
  [
    'a zone that is no whole hour ahead',
    '0 9 * * MON-FRI',
    'Asia/Kathmandu',
    '2026-01-02T12:00Z',
    ['2026-01-05T03:15', '2026-01-06T03:15'],
  ],
  [
    'the day of the month or of the week, where both are restricted',
    '0 0 13 * FRI',
    'UTC',
    '2026-02-01T00:00Z',
    ['2026-02-06T00:00', '2026-02-13T00:00', '2026-02-20T00:00'],
  ],
  ['Sunday is 0 and 7', '0 0 * * 7', 'UTC', '2026-01-01T00:00Z', ['2026-01-04T00:00']],
  ['29 February over eight years', '0 0 29 2 *', 'UTC', '2096-03-01T00:00Z', ['2104-02-29T00:00']],
  ['names', '@monthly', 'UTC', '2026-01-15T00:00Z', ['2026-02-01T00:00', '2026-03-01T00:00']],
  ['31 of the months that have it', '0 0 31 * *', 'UTC', '2026-01-31T00:00Z', ['2026-03-31T00:00', '2026-05-31T00:00']],
])('%s', (_name, cron, zone, after, expected) => {
  expect(next(cron, zone, after, expected.length)).toEqual(expected);
});

test.each([
  ['0 0 0 * * *', 'seconds'],
  ['* * * *', 'five fields'],
  ['@reboot', '@daily'],
  ['61 * * * *', '61'],
  ['0 0 L * *', 'L'],
  ['0 0 * * FRI#2', 'FRI#2'],
  ['H * * * *', 'H'],
  ['*/0 * * * *', '0'],
  ['5-1 * * * *', '5-1'],
  ['0 0 30 2 *', 'day of month'],
  ['0,1 '.repeat(60), '200 characters'],
])('%s is refused: %s', (cron, word) => {
  const parsed = parseCron(cron);
  expect(parsed.ok ? 'accepted' : parsed.problem).toContain(word);
});

test('only names of the IANA database are time zones', () => {
  for (const name of ['UTC', 'Europe/Berlin', 'America/Argentina/Buenos_Aires', 'Etc/GMT+5'])
    expect(findTimeZone(name)).not.toBeNull();
  for (const name of ['', '+02:00', 'Europe/Nowhere', 'x\0y', 'a'.repeat(99)]) expect(findTimeZone(name)).toBeNull();
});

/** What the clock on the wall shows, each minute of which is asked for once. */
const clockOf = (zone: string) => {
  const known = shown.get(zone) ?? new Map<number, number>();
  shown.set(zone, known);
  const format = new Intl.DateTimeFormat('sv-SE', { timeZone: zone, dateStyle: 'short', timeStyle: 'short' });
  return (moment: number) => {
    const wall = known.get(moment) ?? Date.parse(`${format.format(moment).replace(' ', 'T')}:00Z`);
    known.set(moment, wall);
    return wall;
  };
};
const shown = new Map<string, Map<number, number>>();

/** Written without anything of `cron-times.ts`: looks at the clock on the wall each minute. */
function walk(cron: Cron, zone: string, { from, to }: { from: number; to: number }): number[] {
  const wallAt = clockOf(zone);
  const isMeant = (wall: number) => {
    const date = new Date(wall);
    const days = [cron.daysOfMonth.includes(date.getUTCDate()), cron.daysOfWeek.includes(date.getUTCDay())];
    const isDay = cron.eitherDay ? days.some(Boolean) : days.every(Boolean);
    const { hours, minutes, months } = cron;
    return (
      isDay &&
      hours.includes(date.getUTCHours()) &&
      minutes.includes(date.getUTCMinutes()) &&
      months.includes(date.getUTCMonth() + 1)
    );
  };
  const seen = new Set<number>();
  const found: number[] = [];
  // The walk begins early, so that what comes a second time in the range is known to.
  let last = wallAt(from - DAY) - MINUTE;
  for (let moment = from - DAY; moment <= to; moment += MINUTE) {
    const wall = wallAt(moment);
    const passed: number[] = [];
    for (let skipped = last + MINUTE; skipped < wall; skipped += MINUTE) passed.push(skipped);
    const due = cron.everyHour ? isMeant(wall) : (isMeant(wall) && !seen.has(wall)) || passed.some(isMeant);
    if (due && moment >= from) found.push(moment);
    for (const minute of [...passed, wall]) seen.add(minute);
    last = wall;
  }
  return found;
}

/** Days in which these zones put their clocks. */
const SHIFTS = [
  ['Europe/Berlin', '2026-03-29'],
  ['Europe/Berlin', '2026-10-25'],
  ['America/New_York', '2026-03-08'],
  ['America/New_York', '2026-11-01'],
  ['Australia/Lord_Howe', '2026-04-04'],
  ['Australia/Lord_Howe', '2026-10-03'],
  ['Africa/Cairo', '2026-04-24'],
  ['America/Havana', '2026-11-01'],
  ['America/Sao_Paulo', '2019-02-16'],
  ['Asia/Kolkata', '2026-06-01'],
] as const;

const list = (min: number, max: number, most: number) =>
  fc.oneof(
    fc.constant('*'),
    fc.uniqueArray(fc.integer({ min, max }), { minLength: 1, maxLength: most }).map((some) => some.join(',')),
  );
const expression = fc
  .tuple(
    list(0, 59, 4).map((minutes) => (minutes === '*' ? '*/10' : minutes)),
    fc.oneof(list(0, 3, 3), list(0, 23, 4)),
    fc.constantFrom('*', '*/2', '1-15'),
    fc.constant('*'),
    fc.constantFrom('*', '*', '0', '6,0'),
  )
  .map((fields) => fields.join(' '));

test('is what a walk from minute to minute finds, around every shift', () => {
  fc.assert(
    fc.property(
      expression,
      fc.constantFrom(...SHIFTS),
      fc.integer({ min: 0, max: 1_439 }),
      (text, [zone, day], minute) => {
        const clock = { cron: cronOf(text), zone: zoneOf(zone) };
        const from = Date.parse(`${day}T00:00Z`) - DAY + minute * MINUTE;
        const to = from + 1.5 * DAY;
        const walked = walk(clock.cron, zone, { from, to });
        const found: number[] = [];
        for (let at = nextTime(clock, from - 1); at <= to; at = nextTime(clock, at)) found.push(at);
        expect(found).toEqual(walked);
        expect(lastTimes(clock, { from, to }, 10)).toEqual(walked.slice(-10));
      },
    ),
    { numRuns: 60 },
  );
});
