import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BuildFilter } from '../../src/builds/filter-builds.ts';
import { InvalidInputError } from '../../src/errors.ts';
import { MAX_BUCKETS, readBuildSeries } from '../../src/stats/build-series.ts';
import { readBuildStats } from '../../src/stats/build-stats.ts';
import { type QueueFilter, type QueueGrouping, readQueueShares, readQueueStats } from '../../src/stats/queue-stats.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { closeTo, countInMemory } from './count-builds.ts';
import {
  type CountedBuild,
  countedBuild,
  deleteBuilds,
  insertCountedBuilds,
  insertProject,
  insertWorker,
} from './random-builds.ts';

const FROM = new Date('2026-03-01T00:00:00Z');
const TO = new Date('2026-04-15T00:00:00Z');
const RANGE = { createdFrom: FROM, createdTo: TO };

const waiting: CountedBuild = {
  status: 'PENDING',
  createdAt: FROM,
  runAfter: null,
  startedAt: null,
  finishedAt: null,
  costUsd: null,
  provider: 'scripted',
  template: null,
  label: null,
};

let database: TestDatabase;
let projectId: string;
let workerId: string;

beforeAll(async () => {
  database = await openTestDatabase();
  projectId = await insertProject(database.db);
  workerId = await insertWorker(database.db);
});
afterAll(() => database[Symbol.asyncDispose]());

async function store(builds: readonly CountedBuild[]): Promise<void> {
  await deleteBuilds(database.db);
  await insertCountedBuilds(database.db, { projectId, workerId }, builds);
}

function stats(filter: BuildFilter) {
  return readBuildStats(database.db, filter);
}

const someBuilds = fc.array(countedBuild(FROM, TO), { maxLength: 40 });

describe('build statistics', () => {
  it('are what a plain count over the same rows gives, whatever the filter', async () => {
    const filters: [BuildFilter, (build: CountedBuild) => boolean][] = [
      [{}, () => true],
      [{ providers: ['scripted'] }, (build) => build.provider === 'scripted'],
      [{ template: 'site' }, (build) => build.template?.startsWith('site@') ?? false],
      [{ template: 'site@1.1.0' }, (build) => build.template === 'site@1.1.0'],
      [{ labels: [{ key: 'colour', value: 'red' }] }, (build) => build.label === 'red'],
      [{ labels: ['red', 'blue'].map((value) => ({ key: 'colour', value })) }, () => false],
      [{ projectIds: [] }, () => false],
      [{ projectIds: [projectId], createdFrom: new Date(+FROM + 1e9) }, (build) => +build.createdAt >= +FROM + 1e9],
      [{ createdTo: new Date(+TO - 1e9) }, (build) => +build.createdAt < +TO - 1e9],
    ];
    await fc.assert(
      fc.asyncProperty(someBuilds, async (builds) => {
        await store(builds);
        for (const [filter, matches] of filters) {
          expect(await stats(filter)).toEqual(closeTo(countInMemory(builds.filter(matches))));
        }
      }),
      { numRuns: 15 },
    );
  });

  it('have no rate, duration or cost when nothing has one', async () => {
    await store([waiting]);
    expect(await stats({})).toEqual({ ...countInMemory([waiting]), total: 1, pending: 1 });
    expect(await stats({})).toMatchObject({ successRate: null, averageDurationMs: null, totalCostUsd: null });
  });

  it('refuse a range that ends before it begins, by its path', async () => {
    const error = await stats({ createdFrom: TO, createdTo: FROM }).catch((refused: unknown) => refused);
    expect(error).toBeInstanceOf(InvalidInputError);
    expect(error).toMatchObject({ code: 'INVALID_RANGE', issues: [{ path: ['filter', 'createdAt', 'to'] }] });
  });
});

describe('a series', () => {
  // Days of 23 and 25 hours, half-hour and 45-minute zones, and a clock that changes by half an hour.
  const zones = ['UTC', 'Europe/Berlin', 'America/St_Johns', 'Asia/Kathmandu', 'Australia/Lord_Howe', 'Asia/Tokyo'];

  it('has a point for every bucket, and its points add up to the whole', async () => {
    await fc.assert(
      fc.asyncProperty(
        someBuilds,
        fc.constantFrom(...zones),
        fc.constantFrom('HOUR' as const, 'DAY' as const, 'WEEK' as const),
        async (builds, timeZone, bucket) => {
          await store(builds);
          const points = await readBuildSeries(database.db, RANGE, { bucket, timeZone });
          const starts = points.map((point) => +point.start);
          expect(starts).toEqual([...new Set(starts)].toSorted((a, b) => a - b));
          expect(starts[0]).toBeLessThanOrEqual(+FROM);
          for (const [index, point] of points.entries()) {
            const end = starts[index + 1] ?? Number.POSITIVE_INFINITY;
            const inside = builds.filter(({ createdAt }) => +createdAt >= +point.start && +createdAt < end);
            const { start: _start, ...figures } = point;
            expect(figures).toEqual(closeTo(countInMemory(inside)));
          }
        },
      ),
      { numRuns: 20 },
    );
  });

  it('begins its days at midnight of the zone, also when the clocks change', async () => {
    await store([]);
    for (const timeZone of zones) {
      const points = await readBuildSeries(database.db, RANGE, { bucket: 'DAY', timeZone });
      const clock = new Intl.DateTimeFormat('en', { timeZone, hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
      expect(new Set(points.map((point) => clock.format(point.start)))).toEqual(new Set(['00:00']));
      const day = new Intl.DateTimeFormat('en', { timeZone, dateStyle: 'short' });
      expect(new Set(points.map((point) => day.format(point.start))).size).toBe(points.length);
    }
    const berlin = await readBuildSeries(database.db, RANGE, { bucket: 'DAY', timeZone: 'Europe/Berlin' });
    const lengths = berlin.slice(1).map((point, index) => (+point.start - +(berlin[index]?.start ?? 0)) / 3_600_000);
    expect(new Set(lengths)).toEqual(new Set([24, 23]));
  });

  it('counts every build of an hour that is half an hour long', async () => {
    // On Lord Howe the clock goes back by 30 minutes at 15:00 UTC.
    const createdAt = new Date('2026-04-04T15:10:00Z');
    await store([{ ...waiting, createdAt }]);
    const around = { createdFrom: new Date('2026-04-04T12:45:00Z'), createdTo: new Date('2026-04-04T20:00:00Z') };
    const points = await readBuildSeries(database.db, around, { bucket: 'HOUR', timeZone: 'Australia/Lord_Howe' });
    expect(points.reduce((sum, point) => sum + point.total, 0)).toBe(1);
  });

  it('begins its weeks on Monday and its hours at the zone’s full hour', async () => {
    await store([]);
    const weeks = await readBuildSeries(database.db, RANGE, { bucket: 'WEEK', timeZone: 'Asia/Tokyo' });
    const weekday = new Intl.DateTimeFormat('en', { timeZone: 'Asia/Tokyo', weekday: 'long' });
    expect(new Set(weeks.map((point) => weekday.format(point.start)))).toEqual(new Set(['Monday']));
    const hours = await readBuildSeries(database.db, RANGE, { bucket: 'HOUR', timeZone: 'Asia/Kathmandu' });
    expect(new Set(hours.map((point) => point.start.getUTCMinutes()))).toEqual(new Set([15]));
  });

  it('runs from the first build to now when no range is given', async () => {
    await store([]);
    expect(await readSeries('DAY')).toEqual([]);
    const createdAt = new Date(Date.now() - 49 * 3_600_000);
    await store([
      { ...waiting, createdAt },
      { ...waiting, createdAt: new Date() },
    ]);
    const points = await readSeries('DAY');
    expect(points.map((point) => point.total).reduce((a, b) => a + b)).toBe(2);
    expect(points.length).toBeGreaterThanOrEqual(3);
    expect(+(points[0]?.start ?? 0)).toBeLessThanOrEqual(+createdAt);
  });

  it('refuses what is no IANA zone, and too many points', async () => {
    await store([]);
    for (const timeZone of ['Mars/Olympus', '+01:00', 'CET', '', 'Europe/Berlin; drop', 'utc+1', 'x'.repeat(1000)]) {
      const error = await readSeries('DAY', timeZone).catch((refused: unknown) => refused);
      expect(error, timeZone).toMatchObject({ code: 'INVALID_TIME_ZONE', issues: [{ path: ['timeZone'] }] });
    }
    const long = { createdFrom: new Date(+TO - (MAX_BUCKETS + 1) * 3_600_000), createdTo: TO };
    const tooMany = await readBuildSeries(database.db, long, { bucket: 'HOUR', timeZone: 'UTC' }).catch((e) => e);
    expect(tooMany).toMatchObject({ code: 'INVALID_RANGE', issues: [{ path: ['bucket'] }] });
    const most = { createdFrom: new Date(+TO - (MAX_BUCKETS - 2) * 3_600_000), createdTo: TO };
    const points = await readBuildSeries(database.db, most, { bucket: 'HOUR', timeZone: 'Asia/Kathmandu' });
    expect(points.length).toBeLessThanOrEqual(MAX_BUCKETS);
  });

  function readSeries(bucket: 'HOUR' | 'DAY', timeZone = 'UTC') {
    return readBuildSeries(database.db, {}, { bucket, timeZone });
  }
});

describe('queue statistics', () => {
  it('tell what waits, what is scheduled, what runs, and how fast it goes', async () => {
    const ago = (minutes: number) => new Date(Date.now() - minutes * 60_000);
    const oldest = ago(30);
    await store([
      { ...waiting, createdAt: ago(20) },
      { ...waiting, createdAt: oldest, runAfter: ago(5) },
      { ...waiting, createdAt: ago(90), runAfter: ago(-60) },
      { ...waiting, status: 'RUNNING', createdAt: ago(6), startedAt: ago(5) },
      { ...waiting, status: 'COMPLETED', createdAt: ago(9), startedAt: ago(6), finishedAt: ago(1) },
      { ...waiting, status: 'FAILED', createdAt: ago(60), startedAt: ago(59), finishedAt: ago(40) },
    ]);
    const read = (projectIds: readonly string[] | null) =>
      readQueueStats(database.db, { filter: { projectIds }, workerTimeoutSeconds: 3600 });
    const found = await read([projectId]);
    expect(found).toMatchObject({ waiting: 2, scheduled: 1, running: 1, oldestQueuedAt: oldest, workersOnline: 1 });
    expect(found.throughputPerMinute).toBeCloseTo(0.1);
    expect(found.averageWaitMs).toBeCloseTo(120_000, -1);
    expect(await read(null)).toEqual(found);
    expect(await read([])).toMatchObject({ waiting: 0, running: 0, oldestQueuedAt: null, averageWaitMs: null });
  });

  it('tell the waits of those that were claimed lately, and the same by project, agent and label, the longest first', async () => {
    const ago = (seconds: number) => new Date(Date.now() - seconds * 1_000);
    const other = await insertProject(database.db);
    const claimed = (wait: number) => ({
      ...waiting,
      status: 'RUNNING' as const,
      createdAt: ago(60 + wait),
      startedAt: ago(60),
    });
    await store([1, 2, 3, 4, 100].map(claimed));
    const rest = [
      { ...waiting, label: 'red' },
      { ...waiting, label: 'red', provider: 'codex' },
      { ...waiting, label: 'blue', provider: 'codex', runAfter: ago(-3600) },
    ];
    await insertCountedBuilds(database.db, { projectId: other, workerId }, rest);
    const all = await readQueueStats(database.db, { filter: {}, workerTimeoutSeconds: 3600 });
    expect(all).toMatchObject({ waiting: 2, scheduled: 1, running: 5 });
    expect(all.waitP50Ms).toBeCloseTo(3_000, -2);
    expect(all.waitP95Ms).toBeCloseTo(80_800, -2);
    const share = async (grouping: QueueGrouping, filter: QueueFilter = {}, limit = 9) =>
      (await readQueueShares(database.db, { filter, grouping, limit })).map(({ name, waiting, scheduled, running }) => [
        name,
        waiting,
        scheduled,
        running,
      ]);
    expect(await share({ by: 'project' })).toEqual([
      [other, 2, 1, 0],
      [projectId, 0, 0, 5],
    ]);
    expect(await share({ by: 'project' }, {}, 1)).toHaveLength(1);
    expect(await share({ by: 'provider' })).toEqual([
      ['scripted', 1, 0, 5],
      ['codex', 1, 1, 0],
    ]);
    expect(await share({ by: 'label', key: 'colour' })).toEqual([
      ['red', 2, 0, 0],
      ['blue', 0, 1, 0],
    ]);
    expect(await share({ by: 'provider' }, { labels: [{ key: 'colour', value: 'red' }] })).toEqual([
      ['codex', 1, 0, 0],
      ['scripted', 1, 0, 0],
    ]);
    expect(await share({ by: 'label', key: "x' or true" })).toEqual([]);
    const onlyCodex = { filter: { providers: ['codex'] }, workerTimeoutSeconds: 3600 };
    expect(await readQueueStats(database.db, onlyCodex)).toMatchObject({ waiting: 1, running: 0, waitP50Ms: null });
  });
});
