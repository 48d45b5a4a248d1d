/**
 * Nobody starves: one project with 10,000 waiting builds, sharded over 100 keys, beside ten with one each; and a crowd with
 * weights and priorities, in which the longest wait is bounded.
 */
import { sql } from 'kysely';
import { v7 } from 'uuid';
import { expect, it } from 'vitest';
import { startBuild } from '../../src/builds/start-build.ts';
import type { Database } from '../../src/database/database.ts';
import { openTestDatabase } from '../support/database.ts';
import { openTestStack } from '../support/orchestrator.ts';
import { addProject, checkQueue, claim } from '../support/queue.ts';
import { script } from '../support/script.ts';
import { waitFor } from '../support/wait-for.ts';

const FLOOD = 10_000;
const KEYS = 100;
const SMALL = 10;
const SLOTS = 4;

async function flood(db: Database, projectId: string): Promise<void> {
  await sql`select queue_add(gen_random_uuid(), 'task:a', ${projectId}, '{}', 'key-' || n % ${KEYS}::int, '', 0,
                             now() - interval '1 hour' + n * interval '1 ms', now())
              from generate_series(1, ${FLOOD}::int) n`.execute(db);
}

const add = async (db: Database, projectId: string, priority = 0): Promise<string> => {
  const id = v7();
  await sql`select queue_add(${id}, 'task:a', ${projectId}, '{}', '', '', ${priority}, now(), now())`.execute(db);
  return id;
};

const remove = (db: Database, ids: readonly string[]) =>
  sql`select queue_remove(id) from unnest(${[...ids]}::uuid[]) id`.execute(db);

it('ten projects with one item each start within the next slots beside 10,000 of another', async () => {
  await using database = await openTestDatabase();
  const { db } = database;
  const hot = await addProject(db);
  await flood(db, hot);
  // It has had all slots for a while.
  for (let round = 0; round < 20; round += 1) await remove(db, await claim(db, { max: SLOTS }));
  const small = new Map<string, number>();
  for (let index = 0; index < SMALL; index += 1) small.set(await add(db, await addProject(db)), 0);
  let slot = 0;
  while ([...small.values()].includes(0)) {
    const taken = await claim(db, { max: SLOTS });
    for (const id of taken) {
      slot += 1;
      if (small.has(id)) small.set(id, slot);
    }
    await remove(db, taken);
    if (slot > FLOOD) break;
  }
  console.info(`fairness: slots until each of ${SMALL} began: ${[...small.values()].join(', ')}`);
  // The ten are at the clock, the flood is at most one turn before it.
  expect(Math.max(...small.values())).toBeLessThanOrEqual(SMALL + 1);
  await checkQueue(db);
}, 60_000);

it('whoever comes, with whatever weight and priority, waits for a bounded number of slots', async () => {
  await using database = await openTestDatabase();
  const { db } = database;
  const projects: string[] = [];
  const weights = Array.from({ length: 10 }, (_, index) => index + 1);
  for (const weight of weights) {
    const id = await addProject(db);
    projects.push(id);
    await sql`select queue_configure(${id}, ${weight}, null, 1)`.execute(db);
    // Twenty items of every project wait before the first slot; the last has the lowest priority.
    for (let index = 0; index < 20; index += 1) await add(db, id, 20 - index);
  }
  const began = new Map<string, number>();
  const firstOf = new Map<string, string>();
  let longest = 0;
  for (let slot = 1; slot <= 150; slot += 1) {
    // Newcomers, some of them more urgent than all that waits, while everybody else has work.
    if (slot % 10 === 0) {
      const newcomer = await addProject(db);
      firstOf.set(await add(db, newcomer, slot % 20), newcomer);
      began.set([...firstOf.keys()].at(-1) ?? '', -slot);
      await add(db, projects[slot % projects.length] ?? '', 1_000);
    }
    const taken = await claim(db, { max: 1 });
    const [id = ''] = taken;
    const came = began.get(id);
    if (came !== undefined && came < 0) {
      longest = Math.max(longest, slot + came);
      began.set(id, slot);
    }
    await remove(db, taken);
  }
  const starved = [...began.values()].filter((slot) => slot < 0 && slot > -130);
  console.info(`fairness: a newcomer waited for ${longest} slots at most, ${starved.length} starved`);
  expect(starved).toEqual([]);
  // Whoever is at the clock already may go first, once.
  expect(longest).toBeLessThanOrEqual(weights.length + 1);
  const { rows } = await sql<{ n: number; weight: number }>`
    select 20 - count(i.id)::int as n, o.weight from queue_owners o
      left join queue_items i on i.project_id = o.project_id and i.priority <= 20
     where o.project_id = any(${projects}::uuid[]) group by o.weight order by o.weight`.execute(db);
  expect(rows.map(({ n }) => n)).toEqual(rows.map(({ n }) => n).toSorted((a, b) => a - b));
  expect(rows[0]?.n).toBeGreaterThan(0);
}, 60_000);

it('a project that waits is served however many others come with one item each', async () => {
  await using database = await openTestDatabase();
  const { db } = database;
  const project = await addProject(db);
  const left = new Set([await add(db, project), await add(db, project), await add(db, project)]);
  let slots = 0;
  for (; left.size > 0 && slots < 120; slots += 1) {
    await add(db, await addProject(db));
    for (const id of await claim(db, { max: 1 })) left.delete(id);
  }
  console.info(`fairness: three items were served within ${slots} slots of newcomers`);
  // The clock goes on by a sixteenth of a turn with each of those that wait beside it, one more after each of its items.
  expect(slots).toBeLessThanOrEqual(17 * (1 + 2 + 3));
}, 60_000);

it('what has waited long enough goes before what is more urgent, however much of that comes', async () => {
  await using database = await openTestDatabase();
  const { db } = database;
  const project = await addProject(db);
  const old = await add(db, project, 0);
  let slots = 0;
  for (let isThere = true; isThere && slots < 100; slots += 1) {
    await add(db, project, 10);
    // Each slot takes a minute.
    await sql`update queue_items set added_at = added_at - interval '1 minute' where lane_id is null or id = ${old}`.execute(
      db,
    );
    await sql`select queue_set_priority(${old}, 0)`.execute(db);
    isThere = !(await claim(db, { max: 1 })).includes(old);
  }
  expect(slots).toBeLessThanOrEqual(12);
}, 60_000);

it('ten builds of ten projects are done by real workers while thousands of another wait', async () => {
  await using stack = await openTestStack();
  const { orchestrator } = stack;
  const { db } = orchestrator;
  const hot = await stack.createProject();
  const start = async (projectId: string) => {
    const spec = { prompt: script({ write: { path: 'a.txt', content: 'a\n' } }) };
    return (await startBuild(orchestrator, { projectId, spec }, 'test')).build.id;
  };
  const first = await start(hot.id);
  // The others as the first one, without 10,000 requests.
  await sql`
    with counted as (
      update projects set build_count = build_count + ${FLOOD}::int where id = ${hot.id} returning build_count
    )
    insert into build_audit (id, project_id, number, status, phase, source, spec, requested_by, created_at)
    select gen_random_uuid(), b.project_id, c.build_count - ${FLOOD}::int + n, b.status, b.phase, b.source,
           b.spec || jsonb_build_object('concurrencyKey', 'key-' || n % ${KEYS}::int), b.requested_by, b.created_at
      from build_audit b, counted c, generate_series(1, ${FLOOD}::int) n where b.id = ${first}`.execute(db);
  await sql`select count(queue_add_build(id)) from build_audit where project_id = ${hot.id}`.execute(db);
  const small: string[] = [];
  for (let index = 0; index < SMALL; index += 1) small.push(await start((await stack.createProject()).id));
  await stack.openWorker(SLOTS);
  for (const id of small) expect(await stack.finished(id, 60_000)).toMatchObject({ status: 'COMPLETED' });
  const startedBefore = async () => {
    const { rows } = await sql<{ n: number; waiting: number }>`
      select (select count(*)::int from build_audit b
               where b.project_id = ${hot.id}
                 and b.started_at < (select max(started_at) from build_audit where id = any(${small}::uuid[]))) as n,
             (select count(*)::int from build_audit where project_id = ${hot.id} and status = 'PENDING') as waiting
    `.execute(db);
    return rows[0];
  };
  const counts = await waitFor(startedBefore);
  console.info(`fairness: ${counts.n} of the flood began before the last of the ten, ${counts.waiting} still wait`);
  // One for the slots of each claim that found the flood at its turn, too.
  expect(counts.n).toBeLessThanOrEqual(SLOTS);
  expect(counts.waiting).toBeGreaterThan(FLOOD / 2);
}, 120_000);
