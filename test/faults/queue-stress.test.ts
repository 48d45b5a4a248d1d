/**
 * Many connections at the queue at the same time, some of which are killed: no limit is exceeded at any claim, nothing is
 * given out twice or lost, nobody waits for each other in a circle, and at the end every counter is right.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sql } from 'kysely';
import pg from 'pg';
import { expect, it } from 'vitest';
import { cancelBuild } from '../../src/builds/cancel-build.ts';
import { claimBuilds } from '../../src/builds/claim-builds.ts';
import { openPostgresLedger } from '../../src/builds/postgres-ledger.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import type { Database } from '../../src/database/database.ts';
import { BuildStateError } from '../../src/errors.ts';
import { claimer, registerByHand } from '../support/claim.ts';
import { openTestDatabase } from '../support/database.ts';
import { openTestStack } from '../support/orchestrator.ts';
import { addProject, checkQueue, claim } from '../support/queue.ts';
import { waitFor } from '../support/wait-for.ts';

const CONNECTIONS = 10;
const OPERATIONS = 300;
const KILLS = 12;
/** Ended by somebody else, in all its forms. */
const KILLED = /terminat|Connection|not queryable|closed/;

const pick = <T>(from: readonly T[]): T => from[Math.floor(Math.random() * from.length)] as T;
const maybe = (chance: number) => Math.random() < chance;

/** One thing that happens to the queue; gives what a claim has exceeded. */
async function operate(client: pg.Client, projects: readonly string[], gate: string): Promise<string[]> {
  const dice = Math.random();
  const limit = maybe(0.4) ? null : Math.ceil(Math.random() * 6);
  const call = (text: string, ...values: unknown[]) => client.query(`select ${text}`, values);
  if (dice < 0.3) {
    const needs = maybe(0.2) ? ['x'] : [];
    const key = pick(['', 'k', 'l']);
    await call('stress_add($1, $2, $3, $4, $5)', pick(projects), key, pick(['', 'KEY']), needs, maybe(0.2));
  } else if (dice < 0.6) {
    const labels = pick([[], ['x']]);
    const { rows } = await client.query('select stress_claim($1, $2) as excess', [labels, pick([1, 2, 8])]);
    return rows.map(({ excess }) => excess);
  } else if (dice < 0.76) await call(`stress_change('gone', true)`);
  else if (dice < 0.79) await call(`stress_change('gone', false)`);
  else if (dice < 0.85) await call(`stress_change('back', $1)`, maybe(0.7));
  else if (dice < 0.88) await call(`stress_change('moved', false)`);
  else if (dice < 0.9) await call('queue_limit($1)', limit && limit * 3);
  else if (dice < 0.92)
    await call('queue_configure($1, $2, $3, $4)', pick(projects), pick([1, 3]), limit, pick([1, 2]));
  else if (dice < 0.94) await call('queue_limit_key($1, $2, $3)', pick(projects), pick(['k', 'l']), limit);
  else if (dice < 0.96) await call('queue_limit_gate($1, $2)', gate, limit);
  else if (dice < 0.97) await call(`queue_pause($1, 'test')`, pick(projects));
  else if (dice < 0.99) await call('queue_resume($1)', pick(projects));
  else await call(pick([`queue_regate('KEY')`, 'queue_tidy()']));
  return [];
}

/** A connection that is opened again when it was killed; nothing that went wrong otherwise is overlooked. */
async function hammer(url: string, work: (client: pg.Client) => Promise<void>): Promise<number> {
  let killed = 0;
  const open = async () => {
    const client = new pg.Client({ connectionString: url, application_name: 'stress' });
    client.on('error', () => {});
    await client.connect();
    return client;
  };
  let client = await open();
  for (let count = 0; count < OPERATIONS; count += 1) {
    try {
      await work(client);
    } catch (error) {
      if (!KILLED.test(String(error))) throw error;
      killed += 1;
      await client.end().catch(() => {});
      client = await open();
    }
  }
  await client.end();
  return killed;
}

/** Ends connections of the test while they work. */
async function kill(db: Database, isOver: () => boolean): Promise<void> {
  for (let count = 0; count < KILLS; count += 1) {
    const killOne = async () => {
      const { rows } = await sql`
        select pg_terminate_backend(pid) from pg_stat_activity
         where application_name = 'stress' and datname = current_database() and state = 'active'
         order by random() limit 1`.execute(db);
      return rows.length > 0 || isOver();
    };
    await waitFor(killOne, { everyMs: 50 });
  }
}

/** Circles of locks that Postgres has broken up, also where somebody tried again. */
async function countDeadlocks(db: Database): Promise<number> {
  const flush = () => sql`select pg_stat_force_next_flush(), pg_sleep(0.1)`.execute(db);
  await Promise.all(Array.from({ length: 20 }, flush));
  const { rows } = await sql<{ deadlocks: number }>`
    select deadlocks::int from pg_stat_database where datname = current_database()`.execute(db);
  return rows[0]?.deadlocks ?? -1;
}

it('ten connections that add, claim, end, put back and change limits exceed none, and lose nothing', async () => {
  await using database = await openTestDatabase();
  const { db, url } = database;
  await sql.raw(await readFile(join(import.meta.dirname, 'queue-stress.sql'), 'utf8')).execute(db);
  const projects = [await addProject(db), await addProject(db), await addProject(db), await addProject(db)];
  const { rows: gates } = await sql<{ id: string }>`
    insert into credentials (id, kind, name, target, sealed, key_id)
    values (gen_random_uuid(), 'MODEL_API_KEY', 'shared', 'KEY', 'x', 'k') returning id`.execute(db);
  const gate = gates[0]?.id ?? '';
  const excess: string[] = [];
  let isOver = false;
  const hammering = Promise.all(
    Array.from({ length: CONNECTIONS }, () =>
      hammer(url, async (client) => void excess.push(...(await operate(client, projects, gate)))),
    ),
  ).finally(() => {
    isOver = true;
  });
  await kill(db, () => isOver);
  const killed = (await hammering).reduce((sum, count) => sum + count, 0);
  expect(excess).toEqual([]);
  expect(killed).toBeGreaterThan(0);
  expect(await countDeadlocks(db)).toBe(0);
  await checkQueue(db);

  const { rows: claims } = await sql<{ n: number; twice: number }>`
    select count(*)::int as n, count(*) filter (where what = before)::int as twice
      from (select what, lag(what) over (partition by item order by seq) as before from stress_log where what <> 'added') l
     where what = 'claimed'`.execute(db);
  expect(claims[0]?.twice).toBe(0);
  console.info(`stress: ${claims[0]?.n} claims, ${killed} connections killed`);
  expect(claims[0]?.n).toBeGreaterThan(100);
  const { rows: lost } = await sql`
    select item from stress_log group by item
    having bool_or(what = 'gone') = exists (select from queue_items i where i.id = item)`.execute(db);
  expect(lost).toEqual([]);

  await sql`select queue_limit(null), queue_limit_gate(${gate}, null)`.execute(db);
  for (const project of projects) {
    await sql`select queue_resume(${project}), queue_configure(${project}, 1, null, 100000),
      queue_limit_key(${project}, 'k', null), queue_limit_key(${project}, 'l', null)`.execute(db);
  }
  const drained = async () => {
    await claim(db, { kinds: ['task:a', 'task:b'], labels: ['x'], max: 10_000 });
    const { rows } = await sql`select id from queue_items where claimed_at is null limit 1`.execute(db);
    return rows.length === 0;
  };
  await waitFor(drained);
  await checkQueue(db);
}, 120_000);

it('builds that start, are claimed, end and are cancelled at the same time collide nowhere', async () => {
  await using stack = await openTestStack();
  const { orchestrator } = stack;
  const { db } = orchestrator;
  const workerId = await registerByHand(stack);
  const projects = [await stack.createProject(), await stack.createProject(), await stack.createProject()];
  await sql`select queue_configure(${projects[0]?.id}, 1, 2, 1), queue_limit(9)`.execute(db);
  const started: string[] = [];
  const claimed: string[] = [];
  const operateBuilds = async () => {
    for (let count = 0; count < 40; count += 1) {
      const dice = Math.random();
      if (dice < 0.5) {
        const spec = { prompt: 'x', ...(maybe(0.5) ? { concurrencyKey: pick(['k', 'l']) } : {}) };
        started.push((await startBuild(orchestrator, { projectId: pick(projects).id, spec }, 'test')).build.id);
      } else if (dice < 0.65 && started.length > 0) {
        await cancelBuild(orchestrator, { id: pick(started) }, 'test').catch((error: unknown) => {
          if (!(error instanceof BuildStateError)) throw error;
        });
      } else await finishSome();
    }
  };
  const finishSome = async () => {
    const builds = await claimBuilds(orchestrator, claimer(workerId), 3);
    claimed.push(...builds.map(({ id }) => id));
    for (const build of builds)
      await openPostgresLedger(orchestrator, build).finish({ status: 'COMPLETED', result: {} });
    return builds.length;
  };
  await Promise.all(Array.from({ length: 8 }, operateBuilds));
  const allEnded = async () => {
    await finishSome();
    const { rows } = await sql`select id from build_audit where finished_at is null limit 1`.execute(db);
    return rows.length === 0;
  };
  await waitFor(allEnded);
  expect(new Set(claimed).size).toBe(claimed.length);
  expect(await countDeadlocks(db)).toBe(0);
  await checkQueue(db);
  const { rows } = await sql`select id from queue_items limit 1`.execute(db);
  expect(rows).toEqual([]);
}, 120_000);
