/** From the call that starts a build to the first thing that a worker does for it. */
import { Logger, makeWorkerUtils } from 'graphile-worker';
import { sql } from 'kysely';
import pg from 'pg';
import { v7 } from 'uuid';
import { startBuild } from '../../src/builds/start-build.ts';
import type { Database } from '../../src/database/database.ts';
import type { Orchestrator } from '../../src/orchestrator.ts';
import { fillQueue } from '../backlog.ts';
import type { Bench } from '../bench.ts';
import type { Case, Figure, Rig, Sample, Turn } from '../figure.ts';
import { openProduct } from '../product.ts';
import type { main as graphileSlots } from '../programs/graphile-slots.ts';
import type { main as slipwaySlots } from '../programs/slipway-slots.ts';
import { openSlots } from '../slots.ts';

const SLOTS = 4;
const BURST = 64;
const WAITING = 1_000_000;
const PROJECT = '01980000-0000-7000-8000-000000000001';
/** Who takes a build, and who runs it. */
interface Route {
  /** Gives its id. */
  start(): Promise<string>;
  startsOf(ids: readonly string[]): Promise<readonly bigint[]>;
  endsOf(ids: readonly string[]): Promise<readonly bigint[]>;
  /** How often anything has started in all. */
  count(): Promise<number> | number;
  /** How many have ended well in all. */
  ended(): Promise<number>;
}

/** Bursts of which the last start counts, or one alone; each when the one before has ended, so that none finds the worker at work for it. */
async function pickUp(route: Route, { seconds }: Turn, burst: number): Promise<Sample> {
  const before = { count: await route.count(), ended: await route.ended() };
  const latenciesMs: number[] = [];
  const startedAt = performance.now();
  while (performance.now() - startedAt < seconds * 1_000) {
    const from = process.hrtime.bigint();
    const ids = await Promise.all(Array.from({ length: burst }, () => route.start()));
    const starts = await route.startsOf(ids);
    const last = starts.reduce((latest, at) => (at > latest ? at : latest));
    latenciesMs.push(Number(last - from) / 1e6);
    await route.endsOf(ids);
  }
  const expected = latenciesMs.length * burst;
  return {
    operations: expected,
    seconds: (performance.now() - startedAt) / 1_000,
    latenciesMs,
    proof: async () => [
      { what: 'starts and calls', expected, found: (await route.count()) - before.count },
      { what: 'ends and calls', expected, found: (await route.ended()) - before.ended },
    ],
  };
}

async function addProject(db: Database): Promise<void> {
  await sql`insert into projects (id, slug, name, default_branch, created_by)
    values (${PROJECT}, 'pick-up', 'P', 'main', 'bench')`.execute(db);
}

async function startOne(orchestrator: Orchestrator): Promise<string> {
  const { build } = await startBuild(orchestrator, { projectId: PROJECT, spec: { prompt: 'x' } }, 'token_bench');
  return build.id;
}

async function countEnded(db: Database): Promise<number> {
  const { rows } = await sql<{ n: number }>`select count(*) as n from build_audit where status = 'COMPLETED'`.execute(
    db,
  );
  return rows[0]?.n ?? 0;
}

const together: Case = {
  name: 'slipway up',
  role: 'ours',
  async open(bench) {
    await using opened = new AsyncDisposableStack();
    const { url, db } = await bench.database({ migrated: true, poolSize: 2 });
    await addProject(db);
    const { orchestrator } = opened.use(await openProduct(url));
    const { starts, ends } = opened.use(await openSlots(orchestrator, SLOTS));
    const route: Route = {
      start: () => startOne(orchestrator),
      startsOf: (ids) => starts.of(ids),
      endsOf: (ids) => ends.of(ids),
      count: () => starts.count,
      ended: () => countEnded(db),
    };
    const resources = opened.move();
    return { run: (turn) => pickUp(route, turn, 1), [Symbol.asyncDispose]: () => resources.disposeAsync() };
  },
};

/** The builds of a project that is at its limit: as many as `waiting`, of the same kind and labels. */
function across(name: string, burst: number, waiting: (bench: Bench) => number): Case {
  return {
    name,
    role: 'ours',
    async open(bench) {
      const { url, db } = await bench.database({ migrated: true, poolSize: 2 });
      await addProject(db);
      const hot = waiting(bench);
      if (hot > 0) await fillQueue(db, { kind: 'build', projects: 1, each: 0, hot, limits: 'all' });
      const product = await openProduct(url);
      const worker = await bench.program<typeof slipwaySlots>(
        new URL('../programs/slipway-slots.ts', import.meta.url),
        {
          ...{ databaseUrl: url, slots: SLOTS },
        },
      );
      const route: Route = {
        start: () => startOne(product.orchestrator),
        startsOf: (ids) => worker.call('startsOf', ids),
        endsOf: (ids) => worker.call('endsOf', ids),
        count: () => worker.call('count'),
        ended: () => countEnded(db),
      };
      return {
        run: (turn) => pickUp(route, turn, burst),
        [Symbol.asyncDispose]: () => product[Symbol.asyncDispose](),
      };
    },
  };
}

function graphile(name: string, burst: number): Case {
  return {
    name,
    role: 'peer',
    async open(bench): Promise<Rig> {
      const { url, db } = await bench.database({ migrated: false, poolSize: 2 });
      const utils = await makeWorkerUtils({ connectionString: url, logger: new Logger(() => () => {}) });
      await utils.migrate();
      const worker = await bench.program<typeof graphileSlots>(
        new URL('../programs/graphile-slots.ts', import.meta.url),
        {
          ...{ databaseUrl: url, slots: SLOTS },
        },
      );
      let started = 0;
      const left = async () => {
        const { rows } = await sql<{ n: number }>`
          select count(*) as n from graphile_worker._private_jobs`.execute(db);
        return rows[0]?.n ?? 0;
      };
      const route: Route = {
        start: async () => {
          started += 1;
          return String((await utils.addJob('build', { prompt: 'x' })).id);
        },
        startsOf: (ids) => worker.call('startsOf', ids),
        endsOf: (ids) => worker.call('endsOf', ids),
        count: () => worker.call('count'),
        // It deletes what has ended.
        ended: async () => started - (await left()),
      };
      return { run: (turn) => pickUp(route, turn, burst), [Symbol.asyncDispose]: async () => utils.release() };
    },
  };
}

const commit: Case = {
  name: 'one INSERT commit',
  role: 'limit',
  async open(bench) {
    const { url, db } = await bench.database({ migrated: false, poolSize: 1 });
    await sql`create table plain (id uuid primary key)`.execute(db);
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    return {
      async run({ seconds }) {
        const ids: string[] = [];
        const latenciesMs: number[] = [];
        const startedAt = performance.now();
        while (performance.now() - startedAt < seconds * 1_000) {
          const id = v7();
          const from = performance.now();
          await client.query({ name: 'insert', text: 'insert into plain values ($1)', values: [id] });
          latenciesMs.push(performance.now() - from);
          ids.push(id);
        }
        const elapsed = (performance.now() - startedAt) / 1_000;
        return {
          ...{ operations: ids.length, seconds: elapsed, latenciesMs },
          async proof() {
            const { rows } = await client.query('select count(*)::int as n from plain where id = any($1)', [ids]);
            return [{ what: 'rows and commits', expected: ids.length, found: rows[0].n }];
          },
        };
      },
      [Symbol.asyncDispose]: () => client.end(),
    };
  },
};

const ACROSS = 'slipway serve, slipway work';
const FULL = 'the same, others waiting';
const GRAPHILE = 'graphile-worker';

export const figures: readonly Figure[] = [
  {
    name: 'pick-up',
    title: 'startBuild to the start of its build in the same process',
    cases: [together, commit],
    goals: [{ metric: 'p50', of: together.name, against: commit.name, atMost: 4, reached: 6 }],
  },
  {
    name: 'pick-up-across',
    title: 'startBuild to the start of its build in another process',
    cases: [across(ACROSS, 1, () => 0), graphile(GRAPHILE, 1), commit],
    goals: [
      { metric: 'p50', of: ACROSS, against: GRAPHILE, atMost: 1, reached: 2.6 },
      { metric: 'p99', of: ACROSS, against: GRAPHILE, atMost: 1, reached: 3 },
    ],
  },
  {
    name: 'burst',
    title: `${BURST} builds at once on ${SLOTS} slots of another process: to the start of the last`,
    cases: [across(ACROSS, BURST, () => 0), graphile(GRAPHILE, BURST)],
    goals: [{ metric: 'p50', of: ACROSS, against: GRAPHILE, atMost: 0.7, reached: 1 }],
  },
  {
    name: 'waiting',
    title: 'Pick-up in another process while others wait',
    isLong: true,
    cases: [
      across(ACROSS, 1, () => 0),
      across(FULL, 1, ({ size, isQuick }) => size ?? (isQuick ? WAITING / 10 : WAITING)),
    ],
    goals: [{ metric: 'p50', of: FULL, against: ACROSS, atMost: 1.5 }],
    growth: { axis: 'waiting builds', sizes: [10_000, 100_000, WAITING], metric: 'p50', cases: [FULL] },
  },
];
