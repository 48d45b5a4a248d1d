import fc from 'fast-check';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BuildFilter } from '../../src/builds/filter-builds.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { EXIT } from '../../src/cli/exit-code.ts';
import { type Database, type DatabaseOptions, openDatabase } from '../../src/database/database.ts';
import { migrate } from '../../src/database/migrate.ts';
import { WORK_LIMITS } from '../../src/database/session-settings.ts';
import { ANALYST_LIMITS, ANALYSTS_POOL } from '../../src/stats/analysts.ts';
import { readBuildSeries } from '../../src/stats/build-series.ts';
import { type BuildStats, countBuildStats, EXACT_BUILDS, readBuildStats } from '../../src/stats/build-stats.ts';
import { areStatsFilled, fillStats } from '../../src/stats/fill-stats.ts';
import { planRollups } from '../../src/stats/plan-rollups.ts';
import { rebuildStats } from '../../src/stats/rebuild-stats.ts';
import { readRollups } from '../../src/stats/rollups.ts';
import { foldStats } from '../../src/stats/stats-keeper.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { runCommand } from '../cli/run-command.ts';
import { Api } from '../schema/api.ts';
import { openEmptyDatabase, openTestDatabase, type TestDatabase } from '../support/database.ts';
import { migrateBefore } from '../support/earlier-database.ts';
import { openTestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';
import { insertProject, insertWorker } from './random-builds.ts';

const FROM = new Date('2026-01-20T05:30:00Z');
const DAYS = 30;
const STATUSES = ['PENDING', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED'] as const;

/** `count` builds of that time, evenly; all depends on their number only. Of every 25 one waits and one runs. */
async function addBuilds(db: Database, projectId: string, count: number, first = 1): Promise<void> {
  const workerId = await insertWorker(db);
  await sql`
    insert into build_audit (id, project_id, number, status, phase, source, spec, attempt_no, worker_id, lease_until, result,
                             failure, usage, requested_by, run_after, created_at, started_at, finished_at)
    select gen_random_uuid(), ${projectId}, n, status, case status when 'PENDING' then 'QUEUED' when 'RUNNING' then 'AGENT' else 'DONE' end,
           'API', jsonb_build_object('provider', (array['codex', 'gemini'])[1 + n / 3 % 2], 'branch', 'main', 'labels', '{"a":"b"}'::jsonb,
                                     'template', (array['site@1.0.0', 'site@1.1.0', 'api@1.0.0', null])[1 + n / 7 % 4]),
           1, ${workerId}, case status when 'RUNNING' then now() end,
           case when over then '{}'::jsonb end, case status when 'FAILED' then '{}'::jsonb end,
           case when n % 6 > 0 then jsonb_build_object('costUsd', n % 100 / 100.0) end, 'test',
           case when n % 9 = 0 then at + interval '1 minute' end, at, began, case when over then began + ran end
      from (select n, ${FROM}::timestamptz + n * ${DAYS}::float8 / ${first + count} * interval '1 day' as at,
                   case n % 25 when 1 then 'PENDING' when 2 then 'RUNNING' when 3 then 'CANCELLED' when 4 then 'FAILED'
                        when 14 then 'FAILED' else 'COMPLETED' end as status, n % 25 not in (1, 2) as over,
                   (n % 1000) * (n % 1000) * (n % 7) * interval '1 ms' + n % 3 * interval '1 second' as ran
              from generate_series(${first}::int, ${first + count - 1}::int) n) numbered,
           lateral (select case when status <> 'PENDING' then at + n % 50 * interval '1 second' end as began) begun`.execute(
    db,
  );
}

const near = (found: number | null, exact: number | null, share: number) =>
  found === exact || (found !== null && exact !== null && Math.abs(found - exact) <= share * Math.abs(exact) + 1e-6);

/** Counts and sums are the same; percentiles are as near as is promised. */
function differs(found: BuildStats, exact: BuildStats): string[] {
  return Object.entries(exact).flatMap(([name, value]) => {
    if (name === 'start') return [];
    const share = name.startsWith('p') && name.endsWith('Ms') ? 0.02 : 1e-9;
    const other = found[name as keyof BuildStats];
    return near(other, value as number | null, share) ? [] : [`${name}: ${other}, should be ${value}`];
  });
}

async function readAll(db: Database): Promise<unknown[]> {
  const { rows } =
    await sql`select * from build_stats order by scope, project_id, level, bucket, provider, template`.execute(db);
  return rows;
}

describe('rollups', () => {
  let database: TestDatabase;
  let db: Database;
  const projects: string[] = [];

  beforeAll(async () => {
    database = await openTestDatabase();
    db = database.db;
    projects.push(await insertProject(db), await insertProject(db));
    await addBuilds(db, projects[0] ?? '', 3 * EXACT_BUILDS);
    await foldStats(db);
    // These are not folded before somebody asks.
    await addBuilds(db, projects[1] ?? '', EXACT_BUILDS);
  });
  afterAll(() => database[Symbol.asyncDispose]());

  const time = fc.option(
    fc
      .integer({ min: -2, max: DAYS * 24 + 2 })
      .chain((hours) =>
        fc.constantFrom(0, 0, 1_234_567).map((ms) => new Date(Math.ceil(+FROM / 3_600_000 + hours) * 3_600_000 + ms)),
      ),
    { nil: null },
  );
  const filters: fc.Arbitrary<BuildFilter> = fc
    .record({
      projectIds: fc.constantFrom(null, [0], [0, 1], []),
      providers: fc.constantFrom(null, ['codex'], ['codex', 'gemini'], []),
      template: fc.constantFrom(null, null, 'site', 'site@1.1.0', 'none', ''),
      times: fc.tuple(time, time),
    })
    .map(({ projectIds, times, ...filter }) => {
      const [a, b] = times;
      const isBackwards = a && b && a > b;
      return {
        ...filter,
        projectIds: projectIds?.map((index) => projects[index] ?? '') ?? null,
        createdFrom: isBackwards ? b : a,
        createdTo: a && b && +a === +b ? null : isBackwards ? a : b,
      };
    });

  it('tell what the builds tell, whatever the filter and range, folded or not', async () => {
    let planned = 0;
    await fc.assert(
      fc.asyncProperty(filters, async (filter) => {
        const exact = await countBuildStats(db, filter);
        expect(differs(await readBuildStats(db, filter), exact)).toEqual([]);
        const plan = planRollups(filter);
        if (!plan) return;
        planned += 1;
        const [point] = (await readRollups(db, plan)) ?? [];
        expect(differs(point ?? { ...exact, total: 0 }, exact)).toEqual([]);
      }),
      { numRuns: 60 },
    );
    expect(planned).toBeGreaterThan(20);
    await foldStats(db);
    expect(await sql`select from build_stats_deltas`.execute(db)).toMatchObject({ rows: [] });
    expect(differs(await readBuildStats(db, {}), await countBuildStats(db, {}))).toEqual([]);
  });

  it('make the same series as the builds, of zones with whole hours and others', async () => {
    let planned = 0;
    const bucket = fc.constantFrom('HOUR' as const, 'DAY' as const, 'WEEK' as const);
    const zone = fc.constantFrom('UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kathmandu', 'Australia/Lord_Howe');
    await fc.assert(
      fc.asyncProperty(filters, bucket, zone, async (filter, bucket, timeZone) => {
        const ranged = { ...filter, createdTo: filter.createdTo ?? new Date(+FROM + DAYS * 86_400_000) };
        if (ranged.createdFrom && ranged.createdFrom >= ranged.createdTo) return;
        const read = (more: BuildFilter) => readBuildSeries(db, { ...ranged, ...more }, { bucket, timeZone });
        const [found, exact] = [await read({}), await read({ statuses: STATUSES })];
        expect(found.map(({ start }) => start)).toEqual(exact.map(({ start }) => start));
        expect(found.flatMap((point, index) => (exact[index] ? differs(point, exact[index]) : ['?']))).toEqual([]);
        // Of few builds the points are counted: their rollups are looked at all the same.
        const starts = exact.map(({ start }) => start);
        const plan = planRollups({ ...ranged, createdFrom: ranged.createdFrom ?? starts[0] ?? null }, starts);
        if (!plan) return;
        planned += 1;
        const rolled = new Map((await readRollups(db, plan))?.map(({ point, ...figures }) => [point, figures]));
        const empty = exact.flatMap(({ total }, index) => (total === 0 ? [index] : []));
        expect(empty.filter((index) => rolled.has(index))).toEqual([]);
        expect(
          [...rolled].flatMap(([index, figures]) => (exact[index] ? differs(figures, exact[index]) : ['?'])),
        ).toEqual([]);
        expect(rolled.size + empty.length).toBe(starts.length);
      }),
      { numRuns: 25 },
    );
    expect(planned).toBeGreaterThan(5);
  });

  it('are not asked for what they do not know', () => {
    const free = [
      { labels: [{ key: 'a', value: 'b' }] },
      { statuses: [] },
      { sources: ['API' as const] },
      { branch: 'x' },
      { number: 1 },
    ];
    for (const filter of free) expect(planRollups(filter), JSON.stringify(filter)).toBeNull();
    expect(planRollups({ createdFrom: FROM, createdTo: new Date(+FROM + 5_300_000) })).toBeNull();
  });

  it('are the fewest that fit: the longest are taken, and what these have too much is taken away', () => {
    const at = (text: string) => new Date(`2026-${text}Z`);
    const pieces = (from: string, to: string, starts: string[] = []) =>
      planRollups({ createdFrom: at(from), createdTo: at(to) }, starts.map(at))?.pieces.map(
        ({ level, from, to, sign, point }) =>
          [sign === 1 ? '+' : '-', level, from?.toISOString().slice(5, 13), to?.toISOString().slice(5, 13), point].join(
            ' ',
          ),
      );
    expect(pieces('02-01T00:20', '03-03T02:10')).toEqual([
      '+ MONTH 02-01T00 03-01T00 ',
      '+ DAY 03-01T00 03-03T00 ',
      '+ HOUR 03-03T00 03-03T02 ',
    ]);
    expect(pieces('02-03T01:40', '02-27T20:50')).toEqual([
      '- HOUR 02-03T00 02-03T02 0',
      '- DAY 02-01T00 02-03T00 0',
      '+ MONTH 02-01T00 03-01T00 0',
      '- DAY 02-28T00 03-01T00 0',
      '- HOUR 02-27T21 02-28T00 0',
    ]);
    // Days of Berlin, an hour earlier than those of UTC.
    expect(pieces('02-02T23:00', '02-04T23:00', ['02-02T23:00', '02-03T23:00'])).toEqual([
      '+ HOUR 02-02T23 02-03T00 ',
      '+ DAY 02-03T00 02-05T00 ',
      '- HOUR 02-03T23 02-04T00 0',
      '+ HOUR 02-03T23 02-04T00 ',
      '- HOUR 02-04T23 02-05T00 1',
    ]);
  });

  it('follow what becomes of a build: each once, also while they are folded, checked and given up', async () => {
    const running = sql`status = 'RUNNING' and project_id = ${projects[0]}`;
    const finish = (part: number) =>
      sql`update build_audit set status = 'COMPLETED', phase = 'DONE', result = '{}', lease_until = null,
                                 finished_at = started_at + interval '5 seconds'
           where ${running} and number % 4 = ${part}`.execute(db);
    const given = db.transaction().execute(async (trx) => {
      await sql`select build_stats_fold(10)`.execute(trx);
      throw new Error('killed');
    });
    await Promise.all([
      expect(given).rejects.toThrow('killed'),
      ...[0, 1, 2, 3].flatMap((part) => [finish(part), foldStats(db)]),
      rebuildStats(db, { apply: true }),
    ]);
    await sql`update build_audit set usage = '{"costUsd": 7}', created_at = created_at + interval '3 days'
               where number % 50 = 0 and finished_at is not null`.execute(db);
    await sql`delete from build_audit where number % 60 = 7`.execute(db);
    expect(differs(await readBuildStats(db, {}), await countBuildStats(db, {}))).toEqual([]);
    expect(await rebuildStats(db, { apply: false })).toMatchObject({ differing: 0 });
    await foldStats(db);
    expect(await rebuildStats(db, { apply: false })).toMatchObject({ differing: 0 });
    expect(differs(await readBuildStats(db, {}), await countBuildStats(db, {}))).toEqual([]);
  });

  it('are compared with the builds, and replaced where they differ, beside what is not folded yet', async () => {
    const right = await readAll(db);
    await addBuilds(db, projects[1] ?? '', 100, 50_000);
    await sql`update build_stats set completed = completed + 1 where level = 'HOUR' and scope = 'ALL'
                 and bucket = (select min(bucket) from build_stats where level = 'HOUR')`.execute(db);
    await sql`delete from build_stats where level = 'MONTH' and scope = 'PROVIDER'
                 and provider = 'codex' and bucket = '2026-02-01Z'`.execute(db);
    await sql`update build_stats set bucket = bucket + interval '5 days 1 minute' where level = 'DAY' and scope = 'PARTS'
                 and bucket = '2026-02-05Z' and provider = 'gemini' and template = 'site@1.0.0'`.execute(db);
    await sql`update build_stats set counts[1] = counts[1] + 1 where level = 'DAY' and scope = 'PROJECT'
                 and bucket = '2026-02-10Z' and project_id = ${projects[0]}`.execute(db);
    const found = await rebuildStats(db, { apply: false });
    expect(new Set(found.differences.map(({ level, scope }) => `${level} ${scope}`))).toEqual(
      new Set(['HOUR ALL', 'MONTH PROVIDER', 'DAY PARTS', 'DAY PROJECT', 'MONTH PROJECT']),
    );
    const environment = { SLIPWAY_DATABASE_URL: database.url };
    const checked = await runCommand(['stats', 'rebuild', '--check', '--json'], { environment });
    expect(checked.exitCode).toBe(EXIT.error);
    expect(JSON.parse(checked.stdout)).toMatchObject({ replaced: false, differing: found.differing });
    const replaced = await runCommand(['stats', 'rebuild'], { environment });
    expect(replaced.exitCode).toBe(EXIT.done);
    expect(replaced.stdout).toMatch(/^hour of .* ALL: \d+ builds, should be \d+$/m);
    const clean = await runCommand(['stats', 'rebuild', '--check'], { environment });
    expect(clean).toMatchObject({
      exitCode: EXIT.done,
      stdout: `${found.days} days: all rollups are as the builds say.\n`,
    });
    expect(await readAll(db)).toEqual(right);
    const fold = async (limit: number) =>
      (await sql<{ more: boolean }>`select build_stats_fold(${limit}::integer) as more`.execute(db)).rows[0]?.more;
    const { rows } = await sql<{ n: number }>`select count(*) as n from build_stats_deltas`.execute(db);
    const noted = rows[0]?.n ?? 0;
    expect(noted).toBeGreaterThan(1);
    expect([await fold(noted - 1), await fold(1)]).toEqual([true, false]);
    expect(differs(await readBuildStats(db, {}), await countBuildStats(db, {}))).toEqual([]);
  });
});

it('a question that takes too long is given up with a code, holds nothing, and builds go on meanwhile', async () => {
  await using stack = await openTestStack();
  const { orchestrator, databaseUrl: url } = stack;
  const limits = { ...ANALYST_LIMITS, statementMs: 300 };
  await using analysts = openPool({ url, poolSize: ANALYSTS_POOL, limits });
  await using other = openPool({ url, poolSize: 1, limits: WORK_LIMITS });
  const { rows: own } = await sql`select current_setting('statement_timeout') as statement,
    current_setting('idle_in_transaction_session_timeout') as idle`.execute(orchestrator.statsDb);
  expect(own).toEqual([{ statement: `${ANALYST_LIMITS.statementMs / 1_000}s`, idle: '30s' }]);
  const project = await stack.createProject();
  // Fewer are counted one by one, without the table that is locked here.
  await addBuilds(orchestrator.db, (await stack.createProject()).id, 2 * EXACT_BUILDS);
  await sql`delete from build_audit where finished_at is null`.execute(orchestrator.db);
  const { completed } = await countBuildStats(orchestrator.db, {});
  await other.db.transaction().execute(async (trx) => {
    await sql`lock table build_stats in access exclusive mode`.execute(trx);
    const questions = Promise.allSettled(
      Array.from({ length: 2 * ANALYSTS_POOL }, () =>
        new Api({ ...orchestrator, statsDb: analysts.db }).data('{ buildStats { total } }'),
      ),
    );
    const spec = { prompt: script({ write: { path: 'x', content: 'x' } }), provider: 'scripted' };
    const { build } = await startBuild(orchestrator, { projectId: project.id, spec }, 'test');
    await stack.openWorker();
    expect(await stack.finished(build.id)).toMatchObject({ status: 'COMPLETED' });
    for (const question of await questions) {
      expect(question).toMatchObject({ status: 'rejected', reason: { message: expect.stringContaining('TOO_SLOW') } });
    }
    const { rows } = await sql<{ held: number }>`select count(*) as held from pg_stat_activity
      where application_name = 'slipway stats' and (backend_xmin is not null or state <> 'idle')
         and pid <> pg_backend_pid()`.execute(trx);
    expect(rows).toEqual([{ held: 0 }]);
  });
  expect(await new Api({ ...orchestrator, statsDb: analysts.db }).data('{ buildStats { completed } }')).toEqual({
    buildStats: { completed: completed + 1 },
  });
});

it('what had finished before there were rollups is counted by builds until all of it is in them', async () => {
  await using database = await openEmptyDatabase();
  const { db } = database;
  await migrateBefore(db, '0031');
  const projectId = await insertProject(db);
  await addBuilds(db, projectId, 2 * EXACT_BUILDS);
  await migrate(db);
  const check = async () => {
    expect(differs(await readBuildStats(db, {}), await countBuildStats(db, {}))).toEqual([]);
    const days = await readBuildSeries(db, {}, { bucket: 'DAY', timeZone: 'UTC' });
    expect(days.reduce((sum, { total }) => sum + total, 0)).toBe((await countBuildStats(db, {})).total);
  };
  expect(await areStatsFilled(db)).toBe(false);
  await check();
  await using own = openPool({ url: database.url, poolSize: 1, limits: WORK_LIMITS });
  const closing = new AbortController();
  const interrupted = fillStats(own.db, closing.signal);
  closing.abort();
  await expect(interrupted).rejects.toThrow('aborted');
  await sql`update build_audit set status = 'COMPLETED', phase = 'DONE', result = '{}', lease_until = null, finished_at = now()
             where status = 'RUNNING'`.execute(db);
  await foldStats(db);
  expect(await areStatsFilled(db)).toBe(false);
  await check();
  // A concurrent index that was given up is there, and is of no use.
  await sql`drop index build_audit_stats`.execute(db);
  expect(await fillStats(own.db)).toBe(true);
  expect(await areStatsFilled(db)).toBe(true);
  await check();
  expect(await rebuildStats(db, { apply: false })).toMatchObject({ differing: 0, differences: [] });
});

function openPool(options: Pick<DatabaseOptions, 'url' | 'poolSize' | 'limits'>): { db: Database } & AsyncDisposable {
  const db = openDatabase({ ...options, name: 'slipway stats', logger: createLogger('warn') });
  return { db, [Symbol.asyncDispose]: () => db.destroy() };
}
