/** A worker claims what is next, and ends it: what it costs with all limits, and with how much waiting. */
import { sql } from 'kysely';
import { fromKysely, PgBoss } from 'pg-boss';
import { v7 } from 'uuid';
import { PREPARED } from '../../src/database/guarded-pool.ts';
import { addItem, type Backlog, claimItems, countItems, endItems, fillQueue } from '../backlog.ts';
import type { Bench } from '../bench.ts';
import type { Case, Figure, Role, Sample, Turn } from '../figure.ts';

const HOT = 100_000;
const PROJECTS = 10_000;
/** Enough for a run, besides what is at the head. */
const stock = ({ isQuick }: Bench) => (isQuick ? 3 : 10);

interface Steps {
  /** What is measured. */
  claim(): Promise<readonly string[]>;
  /** What follows each claim, outside of its time. */
  end(ids: readonly string[]): Promise<unknown>;
  /** How many there are yet. */
  left(): Promise<number>;
}

/** Claims, and ends what was claimed, one after the other: what workers do all day. */
async function claimAndEnd({ claim, end, left }: Steps, { seconds }: Turn): Promise<Sample> {
  const before = await left();
  const claimed: string[] = [];
  const latenciesMs: number[] = [];
  const startedAt = performance.now();
  while (performance.now() - startedAt < seconds * 1_000) {
    const began = performance.now();
    const ids = await claim();
    latenciesMs.push(performance.now() - began);
    if (ids.length === 0) throw new Error('nothing is left to claim');
    claimed.push(...ids);
    await end(ids);
  }
  return {
    operations: claimed.length,
    seconds: (performance.now() - startedAt) / 1_000,
    latenciesMs,
    proof: async () => [
      { what: 'different items and claims', expected: claimed.length, found: new Set(claimed).size },
      { what: 'items that are gone and claims', expected: claimed.length, found: before - (await left()) },
    ],
  };
}

interface OwnCase {
  readonly name: string;
  readonly role?: Role;
  readonly batch: number;
  readonly backlog: (bench: Bench) => Backlog;
}

function ours({ name, role = 'ours', batch, backlog }: OwnCase): Case {
  return {
    name,
    role,
    async open(bench) {
      const { db } = await bench.database({ migrated: true, poolSize: 1 });
      const workerId = v7();
      await fillQueue(db, backlog(bench));
      return {
        run: (turn) =>
          claimAndEnd(
            {
              claim: () => claimItems(db, workerId, batch),
              end: (ids) => endItems(db, ids),
              left: () => countItems(db),
            },
            turn,
          ),
        async [Symbol.asyncDispose]() {},
      };
    },
  };
}

/** One table, first come, first served: no turns, no limits, no history. */
function plain(batch: number): Case {
  return {
    name: `plain SKIP LOCKED${batch > 1 ? `, ${batch} at once` : ''}`,
    role: 'limit',
    async open(bench) {
      const { db } = await bench.database({ migrated: false, poolSize: 1 });
      await sql`create table plain (id uuid primary key, rank bigint not null, claimed_at timestamptz)`.execute(db);
      await sql`create index plain_next on plain (rank, id) where claimed_at is null`.execute(db);
      await sql`insert into plain select gen_random_uuid(), n, null
        from generate_series(1, ${HOT + PROJECTS * stock(bench) * 2}::int) n`.execute(db);
      await sql`vacuum analyze plain`.execute(db);
      const claim = async () => {
        const { rows } = await sql<{ id: string }>`${sql.raw(PREPARED)}
          update plain set claimed_at = now() where id = any(array(
            select id from plain where claimed_at is null order by rank, id limit ${batch} for update skip locked))
          returning id`.execute(db);
        return rows.map(({ id }) => id);
      };
      const end = (ids: readonly string[]) =>
        sql`${sql.raw(PREPARED)} delete from plain where id = any(${[...ids]}::uuid[])`.execute(db);
      const left = async () => (await sql<{ n: number }>`select count(*) as n from plain`.execute(db)).rows[0]?.n ?? 0;
      return { run: (turn) => claimAndEnd({ claim, end, left }, turn), async [Symbol.asyncDispose]() {} };
    },
  };
}

/** A group that is at its limit has as much waiting at the head. */
const bossGroups: Case = {
  name: 'pg-boss fetch, groupConcurrency 1',
  role: 'peer',
  async open(bench) {
    const { db } = await bench.database({ migrated: true, poolSize: 2 });
    const boss = new PgBoss({ db: fromKysely(db), supervise: false, schedule: false, migrate: false });
    boss.on('error', () => {});
    await boss.start();
    await boss.createQueue('grouped');
    const others = bench.isQuick ? 5_000 : 20_000;
    for (let done = 0; done < HOT + others; done += 5_000) {
      const jobs = Array.from({ length: 5_000 }, (_, index) => ({
        group: { id: done + index < HOT ? 'hot' : `group-${index}` },
      }));
      await boss.insert('grouped', jobs);
    }
    const options = { batchSize: 1, groupConcurrency: 1 };
    const claim = async () => (await boss.fetch('grouped', options)).map(({ id }) => id);
    await claim();
    await sql`vacuum analyze`.execute(db);
    const left = async () => {
      const { rows } = await sql<{ n: number }>`
        select count(*) as n from pgboss.job where name = 'grouped' and state < 'completed'`.execute(db);
      return rows[0]?.n ?? 0;
    };
    return {
      run: (turn) => claimAndEnd({ claim, end: (ids) => boss.complete('grouped', [...ids]), left }, turn),
      [Symbol.asyncDispose]: () => boss.stop({ graceful: false, close: false }),
    };
  },
};

/** With one index to keep; `queue_items` has five, and finds its credential. */
const insertRow: Case = {
  name: 'INSERT of one row',
  role: 'limit',
  async open(bench) {
    const { db } = await bench.database({ migrated: false, poolSize: 1 });
    await sql`create table plain (id uuid primary key)`.execute(db);
    return addingRig(
      (id) => sql`insert into plain values (${id})`.execute(db),
      async () => (await sql<{ n: number }>`select count(*) as n from plain`.execute(db)).rows[0]?.n ?? 0,
    );
  },
};

const addOne: Case = {
  name: 'add',
  role: 'ours',
  async open(bench) {
    const { db } = await bench.database({ migrated: true, poolSize: 1 });
    await fillQueue(db, { projects: 100, each: 1_000, hot: 0, limits: 'none' });
    return addingRig(
      (id) => addItem(db, id, 1),
      () => countItems(db),
    );
  },
};

function addingRig(add: (id: string) => Promise<unknown>, count: () => Promise<number>) {
  return {
    async run({ seconds }: Turn): Promise<Sample> {
      const before = await count();
      const latenciesMs: number[] = [];
      const startedAt = performance.now();
      while (performance.now() - startedAt < seconds * 1_000) {
        const began = performance.now();
        await add(v7());
        latenciesMs.push(performance.now() - began);
      }
      const operations = latenciesMs.length;
      return {
        ...{ operations, seconds: (performance.now() - startedAt) / 1_000, latenciesMs },
        proof: async () => [{ what: 'rows and inserts', expected: operations, found: (await count()) - before }],
      };
    },
    async [Symbol.asyncDispose]() {},
  };
}

const limited = (hot: number) => (bench: Bench) => ({
  ...{ projects: PROJECTS, each: stock(bench), hot: bench.size ?? hot, limits: 'all' as const },
});
/** Without limits, nothing is passed over: fewer at the head take less time to store, and no more to claim. */
const free = (bench: Bench) => ({
  ...{ projects: PROJECTS, each: stock(bench), hot: bench.isQuick ? HOT / 10 : HOT, limits: 'none' as const },
});
const keyed = (keys: number) => () => ({ projects: 10, each: PROJECTS, hot: 0, limits: 'none' as const, keys });
const gated = (projects: number) => (bench: Bench) => ({
  ...{
    projects,
    each: Math.ceil((PROJECTS * stock(bench)) / projects),
    hot: 0,
    limits: 'none' as const,
    isGated: true,
  },
});

const LIMITED = 'claim, all limits';
const FREE = 'claim, no limits';
const LIMITED_64 = 'claim of 64, all limits';
const FREE_64 = 'claim of 64, no limits';

export const figures: readonly Figure[] = [
  {
    name: 'claim',
    title: `A claim with limits, fair share and labels, ${HOT} waiting at the head of one of ${PROJECTS} projects`,
    cases: [
      ours({ name: LIMITED, batch: 1, backlog: limited(HOT) }),
      ours({ name: FREE, batch: 1, backlog: free }),
      plain(1),
      bossGroups,
    ],
    goals: [
      { metric: 'p50', of: bossGroups.name, against: LIMITED, atLeast: 40, reached: 25 },
      { metric: 'p50', of: LIMITED, against: FREE, atMost: 2 },
    ],
    growth: {
      axis: 'builds that wait at the head',
      sizes: [10_000, 100_000, 1_000_000],
      metric: 'p50',
      cases: [LIMITED],
    },
  },
  {
    name: 'claim-64',
    title: 'The same, 64 at once',
    isLong: true,
    cases: [
      ours({ name: LIMITED_64, batch: 64, backlog: limited(HOT) }),
      ours({ name: FREE_64, batch: 64, backlog: free }),
      plain(64),
    ],
    goals: [{ metric: 'p50', of: LIMITED_64, against: FREE_64, atMost: 2 }],
  },
  {
    name: 'claim-keys',
    title: 'A claim where one item of a key runs at a time',
    isLong: true,
    cases: [
      ours({ name: '100 keys', batch: 1, backlog: keyed(100) }),
      ours({ name: 'no keys', batch: 1, backlog: keyed(0) }),
    ],
    goals: [{ metric: 'p50', of: '100 keys', against: 'no keys', atMost: 2 }],
  },
  {
    name: 'claim-credentials',
    title: 'A claim where each project has a limited credential of its own',
    isLong: true,
    cases: [
      ours({ name: '10,000 credentials', batch: 1, backlog: gated(10_000) }),
      ours({ name: '10 credentials', batch: 1, backlog: gated(10) }),
    ],
    goals: [{ metric: 'p50', of: '10,000 credentials', against: '10 credentials', atMost: 2 }],
  },
  {
    name: 'queue-add',
    title: 'An item is added to a queue with 100,000 others',
    isLong: true,
    cases: [addOne, insertRow],
    goals: [{ metric: 'p50', of: 'add', against: insertRow.name, atMost: 3 }],
  },
];
