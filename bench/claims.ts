/**
 * `node bench/claims.ts [--quick] [--only PART]`: what it costs to claim, add and remove, with how much waiting, how many projects, keys
 * and limits; beside a plain table with FOR UPDATE SKIP LOCKED and pg-boss' fetch in the same run, on an embedded Postgres
 * with its usual durability. Prints a table in Markdown, then the same as JSON. Parts: plain, sizes, limits, credentials,
 * adds, boss.
 */
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { sql } from 'kysely';
import { fromKysely, PgBoss } from 'pg-boss';
import { v7 } from 'uuid';
import { type Database, openDatabase } from '../src/database/database.ts';
import { openEmbeddedPostgres } from '../src/database/embedded-postgres.ts';
import { migrate } from '../src/database/migrate.ts';
import { MIGRATION_LIMITS } from '../src/database/session-settings.ts';
import { migrateQueue } from '../src/queue/queue.ts';
import { createLogger } from '../src/telemetry/logger.ts';

const { values } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, only: { type: 'string' } },
});
const ROUNDS = values.quick ? 40 : 300;
const logger = createLogger('error');

interface Measured {
  readonly what: string;
  readonly waiting: number;
  readonly projects: number;
  readonly batch: number;
  /** Per call. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Of the server's process, per item: what a busy machine does not change. Null where the system does not tell. */
  readonly cpuUs: number | null;
  readonly itemsPerSecond: number;
}

const measured: Measured[] = [];

interface Case {
  readonly what: string;
  readonly waiting: number;
  readonly projects: number;
  readonly batch: number;
  /** Does once what is measured; gives how many items it was for. */
  work(round: number): Promise<number>;
}

let serverPid = 0;

/** Nanoseconds that the server's process has computed; 0 where the system does not tell. */
async function readSpent(): Promise<number> {
  const text = await readFile(`/proc/${serverPid}/schedstat`, 'utf8').catch(() => '0');
  return Number(text.split(' ')[0]);
}

async function measure({ work, ...about }: Case): Promise<void> {
  const times: number[] = [];
  let items = 0;
  let spentBefore = 0;
  const warmUp = Math.ceil(ROUNDS / 10);
  for (let round = -warmUp; round < ROUNDS; round += 1) {
    const startedAt = performance.now();
    const done = await work(round);
    if (round < 0) {
      spentBefore = await readSpent();
      continue;
    }
    times.push(performance.now() - startedAt);
    items += done;
  }
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0;
  const itemsPerSecond = (items * 1_000) / times.reduce((sum, time) => sum + time, 0);
  const spent = (await readSpent()) - spentBefore;
  const cpuUs = spent > 0 ? spent / 1_000 / Math.max(1, items) : null;
  measured.push({ ...about, p50Ms: at(0.5), p99Ms: at(0.99), cpuUs, itemsPerSecond });
  process.stderr.write(`${row(measured.at(-1) as Measured)}\n`);
}

interface Backlog {
  readonly waiting: number;
  readonly projects: number;
  /** Of each project; 0 for none. */
  readonly keys?: number;
  /** Of all, of each project and of a credential: so high that they never hold anything back, and have to be counted. */
  readonly limits?: boolean;
  /** All but one item for each other project are of the first one. */
  readonly isHot?: boolean;
  /** Each project has a credential of its own, with a limit that holds nothing back. */
  readonly isGated?: boolean;
}

const TABLES =
  'queue_items, queue_removals, queue_owners, queue_turns, queue_lanes, queue_keys, queue_gates, credentials';

/** Fills the empty queue, and sorts all in. */
async function fill(
  db: Database,
  { waiting, projects, keys = 0, limits = false, isHot = false, isGated = false }: Backlog,
) {
  await sql.raw(`truncate ${TABLES}; update queue_state set running = 0, max_running = null`).execute(db);
  await sql`delete from queue_pools`.execute(db);
  await sql`delete from queue_shapes`.execute(db);
  await sql`delete from projects`.execute(db);
  await sql`insert into projects (id, slug, name, default_branch, created_by)
    select md5(n::text)::uuid, 'p-' || n, 'P', 'main', 'bench' from generate_series(0, ${projects - 1}::int) n`.execute(
    db,
  );
  if (limits) {
    await sql`insert into credentials (id, kind, name, target, sealed, key_id)
      values (${v7()}, 'MODEL_API_KEY', 'shared', 'KEY', 'x', 'k')`.execute(db);
    await sql`select queue_limit_gate(id::text, 1000000000) from credentials`.execute(db);
    await sql`select queue_limit(1000000000)`.execute(db);
    await sql`insert into queue_owners (project_id, max_running, key_limit) select id, 1000000000, 1000000000 from projects`.execute(
      db,
    );
  }
  if (isGated) {
    await sql`insert into queue_gates (gate, max_running) select id::text, 1000000000 from projects`.execute(db);
  }
  const variable = limits ? 'KEY' : '';
  const projectOf = isHot
    ? sql`md5(greatest(0, n - ${waiting - projects}::int)::text)::uuid`
    : sql`md5((n % ${projects}::int)::text)::uuid`;
  await sql`insert into queue_items (id, kind, project_id, key, variable, gate, needs, priority, added_at, ready_at)
    select gen_random_uuid(), 'task:a', project_id, key, ${variable}::text,
           case when ${isGated} then project_id::text else queue_gate_of(project_id, ${variable}) end, '{}', 0,
           now() + n * interval '1 millisecond', now()
      from (select n, ${projectOf} as project_id,
                   case when ${keys}::int = 0 then '' else 'key-' || n % greatest(1, ${keys}::int) end as key
              from generate_series(0, ${waiting - 1}::int) n) made`.execute(db);
  for (;;) {
    const { rows } = await sql<{ n: number }>`select queue_sort_in(10000) as n`.execute(db);
    if (!rows[0]?.n) break;
  }
  await sql`vacuum analyze queue_items, queue_lanes, queue_turns, queue_owners, queue_pools, queue_state`.execute(db);
}

async function claim(db: Database, batch: number): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    select id from queue_claim(${v7()}, '{task:a}', '{}', ${batch})`.execute(db);
  return rows.map(({ id }) => id);
}

/** Claims alone: what was claimed goes on running. */
async function measureClaims(db: Database, what: string, batch: number, backlog: Backlog): Promise<void> {
  const { waiting, projects } = backlog;
  await measure({
    ...{ what, waiting, projects, batch },
    work: async () => (await claim(db, batch)).length,
  });
}

/** What workers do all day: claim, and end what was claimed. */
async function measureTurnover(db: Database, what: string, batch: number, backlog: Backlog): Promise<void> {
  const { waiting, projects } = backlog;
  await measure({
    ...{ what, waiting, projects, batch },
    work: async () => {
      const ids = await claim(db, batch);
      await sql`select queue_remove(id) from unnest(${ids}::uuid[]) id`.execute(db);
      return ids.length;
    },
  });
}

async function measureSizes(db: Database): Promise<void> {
  const sizes = values.quick ? [10, 1_000, 100_000] : [10, 1_000, 100_000, 1_000_000];
  for (const waiting of sizes) {
    // What is measured never takes the last of them.
    const enough = ROUNDS * 2.4 + waiting;
    await fill(db, { waiting: enough, projects: Math.min(100, waiting) });
    await measureClaims(db, 'claim', 1, { waiting, projects: Math.min(100, waiting) });
    await measureTurnover(db, 'claim, end', 1, { waiting, projects: Math.min(100, waiting) });
  }
}

async function measureLimits(db: Database): Promise<void> {
  const most = values.quick ? 20_000 : 200_000;
  for (const projects of [1, 100, 10_000]) {
    await fill(db, { waiting: most, projects });
    await measureClaims(db, 'claim', 1, { waiting: most, projects });
    await measureClaims(db, 'claim', 64, { waiting: most, projects });
    await fill(db, { waiting: most, projects, keys: 100, limits: true });
    await measureClaims(db, 'claim, all limits', 1, { waiting: most, projects });
    await measureClaims(db, 'claim, all limits', 64, { waiting: most, projects });
    await measureTurnover(db, 'claim, end, all limits', 1, { waiting: most, projects });
  }
  await fill(db, { waiting: 100_000, projects: 1_000, keys: 0, isHot: true });
  await sql`select queue_configure(project_id, 1, 1, 1) from queue_owners order by waiting desc limit 1`.execute(db);
  await claim(db, 1);
  await measureClaims(db, 'claim, hot project at its limit', 1, { waiting: 100_000, projects: 1_000 });
  await fill(db, { waiting: 100_000, projects: 10, keys: 100 });
  await measureTurnover(db, 'claim, end, one of a key at a time', 1, { waiting: 100_000, projects: 10 });
  await measureClaims(db, 'claim of nothing, all keys busy', 1, { waiting: 100_000, projects: 10 });
}

/** As many limited credentials as projects. */
async function measureCredentials(db: Database): Promise<void> {
  const waiting = values.quick ? 12_000 : 60_000;
  for (const projects of [10, 1_000, 10_000]) {
    await fill(db, { waiting, projects, isGated: true });
    await measureClaims(db, 'claim, a limited credential each', 1, { waiting, projects });
    await measureTurnover(db, 'claim, end, a limited credential each', 1, { waiting, projects });
    await measureClaims(db, 'claim, a limited credential each', 64, { waiting, projects });
  }
}

async function measureAdds(db: Database): Promise<void> {
  await fill(db, { waiting: 100_000, projects: 100 });
  const about = { waiting: 100_000, projects: 100 };
  const ids: string[] = [];
  const add = async () => {
    const id = v7();
    ids.push(id);
    await sql`select queue_add(${id}, 'task:a', md5('1')::uuid, '{}', '', '', 0, now(), now())`.execute(db);
    return 1;
  };
  await measure({ what: 'add', batch: 1, ...about, work: add });
  await measure({
    ...{ what: 'remove of what waits', batch: 1, ...about },
    work: async () => {
      await sql`select queue_remove(${ids.pop() ?? v7()})`.execute(db);
      return 1;
    },
  });
}

/** One table, first come first served: no turns, no limits. */
async function measurePlain(db: Database): Promise<void> {
  await sql`create table plain (id uuid primary key, rank bigint not null, claimed_at timestamptz)`.execute(db);
  await sql`create index plain_next on plain (rank, id) where claimed_at is null`.execute(db);
  for (const waiting of [1_000, 100_000]) {
    await sql`truncate plain`.execute(db);
    await sql`insert into plain select gen_random_uuid(), n, null from generate_series(1, ${waiting + ROUNDS * 80}::int) n`.execute(
      db,
    );
    await sql`vacuum analyze plain`.execute(db);
    for (const batch of [1, 64]) {
      await measure({
        ...{ what: 'plain SKIP LOCKED', waiting, projects: 1, batch },
        work: async () => {
          const { rows } = await sql`
            update plain set claimed_at = now() where id = any(array(
              select id from plain where claimed_at is null order by rank, id limit ${batch} for update skip locked))
            returning id`.execute(db);
          return rows.length;
        },
      });
    }
  }
}

async function measureBoss(db: Database): Promise<void> {
  const boss = new PgBoss({
    db: fromKysely(db),
    supervise: false,
    schedule: false,
    migrate: false,
    monitorVacuum: false,
  });
  boss.on('error', () => {});
  await boss.start();
  try {
    for (const isGrouped of [false, true]) {
      const waiting = 20_000;
      const name = isGrouped ? 'grouped' : 'plain';
      await boss.createQueue(name);
      const job = (index: number) => ({
        data: {},
        ...(isGrouped && index < waiting - 500 ? { group: { id: 'hot' } } : {}),
      });
      for (let done = 0; done < waiting; done += 1_000) {
        await boss.insert(
          name,
          Array.from({ length: 1_000 }, (_, index) => job(done + index)),
        );
      }
      const options = isGrouped ? { batchSize: 1, groupConcurrency: 1 } : { batchSize: 1 };
      await measure({
        ...{ what: isGrouped ? 'pg-boss, groupConcurrency 1, hot group' : 'pg-boss fetch', waiting },
        ...{ projects: 1, batch: 1 },
        work: async () => (await boss.fetch(name, options)).length,
      });
    }
  } finally {
    await boss.stop({ graceful: false, close: false });
  }
}

function row({ what, waiting, projects, batch, p50Ms, p99Ms, cpuUs, itemsPerSecond }: Measured): string {
  const cells = [
    what,
    waiting,
    projects,
    batch,
    p50Ms.toFixed(2),
    p99Ms.toFixed(2),
    cpuUs?.toFixed(0) ?? '-',
    Math.round(itemsPerSecond),
  ];
  return `| ${cells.join(' | ')} |`;
}

const folder = await mkdtemp(join(tmpdir(), 'slipway-bench-'));
// As root, Postgres runs as somebody else and must be able to come here.
await chmod(folder, 0o711);
try {
  await using postgres = await openEmbeddedPostgres({ folder: join(folder, 'postgres'), durable: true, logger });
  const db = openDatabase({ url: postgres.url, poolSize: 1, name: 'slipway bench', logger, limits: MIGRATION_LIMITS });
  await migrate(db);
  await migrateQueue({ db, logger });
  serverPid = (await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(db)).rows[0]?.pid ?? 0;
  const parts = {
    ...{ plain: measurePlain, sizes: measureSizes, limits: measureLimits, credentials: measureCredentials },
    ...{ adds: measureAdds, boss: measureBoss },
  };
  for (const [name, part] of Object.entries(parts)) {
    if (values.only === undefined || values.only === name) await part(db);
  }
  await db.destroy();
} finally {
  await rm(folder, { recursive: true, force: true });
}
process.stdout.write(
  [
    '| what | waiting | projects | batch | p50 ms | p99 ms | server CPU, µs per item | items/s |',
    '| --- | --- | --- | --- | --- | --- | --- | --- |',
    ...measured.map(row),
    '',
    JSON.stringify({ node: process.version, load: loadavg(), measured }),
    '',
  ].join('\n'),
);
