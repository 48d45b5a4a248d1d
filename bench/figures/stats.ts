/** Statistics of many builds: read from rollups, beside the same counted by rows. */
import { sql } from 'kysely';
import type { BuildFilter } from '../../src/builds/filter-builds.ts';
import type { Database } from '../../src/database/database.ts';
import { readBuildSeries, type SeriesOptions } from '../../src/stats/build-series.ts';
import { type BuildStats, readBuildStats } from '../../src/stats/build-stats.ts';
import { fillStats } from '../../src/stats/fill-stats.ts';
import type { Bench } from '../bench.ts';
import type { Case, Figure, Goal, Proof } from '../figure.ts';
import { closedLoop } from '../load.ts';

const MANY = 10_000_000;
const FEW = 100_000;
const PROJECTS = 500;
const FROM = new Date('2026-01-01T00:00:00Z');
const DAYS = 90;
/** Of one statement that stores builds. */
const STORED = 500_000;

const projectId = (n: string) =>
  `overlay('00000000-0000-7000-8000-000000000000' placing lpad((${n})::text, 12, '0') from 25)::uuid`;
const A_PROJECT = '00000000-0000-7000-8000-000000000007';
const EVERY_STATUS = ['PENDING', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED'] as const;
const day = (number: number, ms = 0) => new Date(+FROM + number * 86_400_000 + ms);

/** Each project has one template in two versions and two agents; durations are log-normal, from seconds to hours. */
const SPEC = `jsonb_build_object('prompt', repeat('x', 200), 'branch', 'main', 'labels', '{}'::jsonb,
  'provider', (array['claude-code', 'codex'])[1 + n / ${PROJECTS} % 2],
  'template', 'template-' || n % 10 || '@1.' || n / ${2 * PROJECTS} % 2)`;
const RAN = `exp(11 + 1.1 * sqrt(-2 * ln(1 - (n::bigint * 7919 % 999983) / 999984::float8)) * cos(6.2832 * (n::bigint * 104729 % 999979) / 999979::float8)) * interval '1 ms'`;

async function addProjects(db: Database): Promise<void> {
  await sql
    .raw(`insert into projects (id, slug, name, default_branch, created_by)
    select ${projectId('n')}, 'p-' || n, 'P', 'main', 'bench' from generate_series(0, ${PROJECTS - 1}) n`)
    .execute(db);
}

/**
 * Builds as they are in the table, of which nobody asks whether they survive a crash, are right or have neighbours: 10 million
 * are there in minutes. Of the indexes only that of unfinished builds is left; the others that statistics need come
 * with the rollups, as an upgrade makes them.
 */
const BARE = `do $$ declare of record; begin
  for of in select conrelid::regclass as own, conname as name from pg_constraint
             where (conrelid = 'build_audit'::regclass or confrelid = 'build_audit'::regclass) and contype in ('f', 'c') loop
    execute format('alter table %s drop constraint %I', of.own, of.name);
  end loop;
  for of in select conname as name from pg_constraint where conrelid = 'build_audit'::regclass and contype in ('p', 'u') loop
    execute format('alter table build_audit drop constraint %I', of.name);
  end loop;
  for of in select indexrelid::regclass as name from pg_index where indrelid = 'build_audit'::regclass
             and indexrelid <> 'build_audit_open'::regclass loop
    execute format('drop index %s', of.name);
  end loop;
  alter table build_audit disable trigger all;
  alter table build_audit set unlogged;
  alter table build_audit set (autovacuum_enabled = off);
end $$`;

/** By SQL; then the rollups as an upgrade fills them. */
async function storeBuilds(db: Database, count: number): Promise<void> {
  await addProjects(db);
  await sql.raw(BARE).execute(db);
  for (let first = 0; first < count; first += STORED) {
    await sql
      .raw(`insert into build_audit (id, project_id, number, status, phase, source, spec, attempt_no, result, failure,
                                            usage, requested_by, created_at, started_at, finished_at)
      select uuidv7(at - now()), ${projectId(`n % ${PROJECTS}`)}, n, status, 'DONE', 'API', ${SPEC}, 1, '{}',
             case status when 'FAILED' then '{}'::jsonb end, jsonb_build_object('costUsd', n % 100 / 100.0), 'bench', at,
             at + n % 50 * interval '1 second', at + n % 50 * interval '1 second' + ${RAN}
        from (select n, case n % 23 when 3 then 'FAILED' when 7 then 'CANCELLED' else 'COMPLETED' end as status,
                     timestamptz '${FROM.toISOString()}' + n::float8 * ${DAYS} / ${count} * interval '1 day' as at
                from generate_series(${first}, ${Math.min(first + STORED, count) - 1}) n) numbered`)
      .execute(db);
  }
  await sql`alter table build_audit enable trigger all`.execute(db);
  await sql`analyze build_audit`.execute(db);
  await sql`update build_stats_state set filled = false`.execute(db);
  await fillStats(db);
  await sql`vacuum (analyze) build_stats`.execute(db);
}

const stored = new WeakMap<Bench, Promise<Database>>();

/** One database for all cases of a figure. */
function openStored(bench: Bench, count: number): Promise<Database> {
  const known = stored.get(bench);
  if (known) return known;
  const opened = (async () => {
    const { db } = await bench.database({ migrated: true, poolSize: 1 });
    await storeBuilds(db, bench.size ?? count);
    return db;
  })();
  stored.set(bench, opened);
  return opened;
}

interface Question {
  readonly name: string;
  readonly filter: BuildFilter;
  /** A series; else the figures of all. */
  readonly series?: SeriesOptions;
}

/** Ranges begin and end in the middle of an hour. */
const RAGGED = { createdFrom: day(31, 1_234_567), createdTo: day(61, 7_654_321) };
const ONE_PROJECT = { projectIds: [A_PROJECT], ...RAGGED };
const PART = { providers: ['codex'], template: 'template-7', ...RAGGED };
const OF_ALL: readonly Question[] = [
  { name: 'all', filter: {} },
  { name: 'an agent and template, 30 days', filter: PART },
  { name: 'series of all, in Berlin', filter: RAGGED, series: { bucket: 'DAY', timeZone: 'Europe/Berlin' } },
];
const OF_ONE: readonly Question[] = [
  { name: 'one project, 30 days', filter: ONE_PROJECT },
  { name: 'one project, agent and template', filter: { ...ONE_PROJECT, ...PART } },
  { name: 'series of one project', filter: ONE_PROJECT, series: { bucket: 'DAY', timeZone: 'UTC' } },
];

/**
 * `rollups`: as Slipway answers. `rows`: as it counts, with the index of a project's builds by time that it has for the ends
 * of ranges. `scan`: the same statement on a table without such an index, as the plain aggregate is.
 */
type Way = 'rollups' | 'rows' | 'scan';

/** To name every status changes no answer, and is nothing that rollups know: it is counted by rows. */
async function ask(db: Database, { filter, series }: Question, way: Way): Promise<readonly BuildStats[]> {
  const asked = way === 'rollups' ? filter : { ...filter, statuses: EVERY_STATUS };
  return series ? readBuildSeries(db, asked, series) : [await readBuildStats(db, asked)];
}

const exact = new WeakMap<Question, Promise<readonly BuildStats[]>>();

function question(asked: Question, { way, count }: { readonly way: Way; readonly count: number }): Case {
  return {
    name: `${way}: ${asked.name}`,
    role: way === 'rollups' ? 'ours' : 'peer',
    async open(bench) {
      const db = await openStored(bench, count);
      return {
        async run({ seconds }) {
          if (way === 'scan') await sql`set enable_indexscan = off; set enable_bitmapscan = off`.execute(db);
          let answer: readonly BuildStats[] = [];
          const load = await closedLoop({ seconds, outstanding: 1 }, async () => {
            answer = await ask(db, asked, way);
          });
          if (way === 'scan') await sql`reset enable_indexscan; reset enable_bitmapscan`.execute(db);
          return {
            ...load,
            async proof() {
              const right = exact.get(asked) ?? ask(db, asked, 'rows');
              exact.set(asked, right);
              return prove(answer, await right);
            },
          };
        },
        async [Symbol.asyncDispose]() {},
      };
    },
  };
}

function prove(answer: readonly BuildStats[], exact: readonly BuildStats[]): Proof[] {
  const sums = (points: readonly BuildStats[]) =>
    points.map(({ total, completed, failed, averageDurationMs }) =>
      [total, completed, failed, Math.round(averageDurationMs ?? -1)].join(' '),
    );
  const worst = Math.max(
    ...answer.flatMap((point, index) =>
      (['p50DurationMs', 'p95DurationMs'] as const).map((name) => {
        const right = exact[index]?.[name];
        return right && point[name] ? Math.abs(point[name] / right - 1) : Number(right !== point[name]);
      }),
    ),
  );
  return [
    { what: 'figures', expected: sums(exact).join('; '), found: sums(answer).join('; ') },
    { what: 'percentiles within 2 %', expected: 'yes', found: worst <= 0.02 ? 'yes' : `off by ${worst}` },
  ];
}

function reading(
  questions: readonly Question[],
  { ways, count }: { readonly ways: readonly Way[]; readonly count: number },
): Case[] {
  return questions.flatMap((asked) => ways.map((way) => question(asked, { way, count })));
}

const faster = (than: Way, { name }: Question, atLeast: number): Goal => ({
  metric: 'p50',
  of: `${than}: ${name}`,
  against: `rollups: ${name}`,
  atLeast,
});

const soon = ({ name }: Question): Goal => ({ metric: 'p50', of: `rollups: ${name}`, against: null, atMost: 2 });

export const figures: readonly Figure[] = [
  {
    name: 'stats',
    title: `statistics of ${FEW} builds, against counting them`,
    // Of one project these are so few that they are counted.
    cases: reading([...OF_ALL, ...OF_ONE.slice(0, 1)], { ways: ['rollups', 'rows'], count: FEW }),
    goals: OF_ALL.filter(({ filter }) => filter !== PART).map((asked) => faster('rows', asked, 10)),
    growth: { axis: 'stored builds', sizes: [FEW, MANY / 10, MANY], metric: 'p50' },
  },
  {
    name: 'stats-many',
    title: `statistics of ${MANY} builds, against counting them`,
    isLong: true,
    cases: [
      ...reading(OF_ALL, { ways: ['rollups', 'rows'], count: MANY }),
      ...reading(OF_ONE, { ways: ['rollups', 'rows', 'scan'], count: MANY }),
    ],
    goals: [
      ...OF_ALL.map((asked) => faster('rows', asked, 300)),
      ...OF_ONE.flatMap((asked) => [faster('scan', asked, 300), soon(asked)]),
    ],
  },
];
