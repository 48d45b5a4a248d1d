/** The queue's SQL: order, turns, limits. `queue-model.test.ts` walks through it at random. */
import { sql } from 'kysely';
import { v7 } from 'uuid';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Database, DatabaseTransaction } from '../../src/database/database.ts';
import { openQueue, type Queue, type QueuedItem } from '../../src/queue/queue.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { registerWorker } from '../../src/workers/registry.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { addProject, checkQueue, claim, claimAll } from '../support/queue.ts';

let database: TestDatabase;
let queue: Queue;
let db: Database;

beforeAll(async () => {
  database = await openTestDatabase();
  db = database.db;
  queue = await openQueue({ db, logger: createLogger('warn'), supervise: false });
});

afterAll(async () => {
  await queue[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
});

let projectId: string;

beforeEach(async () => {
  await sql`truncate queue_items, queue_removals, queue_owners, queue_lanes, queue_turns, queue_keys, queue_gates`.execute(
    db,
  );
  await sql`update queue_state set running = 0, paused_at = null, max_running = null`.execute(db);
  projectId = await addProject(db);
});

const inTransaction = <T>(work: (trx: DatabaseTransaction) => Promise<T>) => db.transaction().execute(work);

/** What `work` gives, as if it had not been done. */
async function undone<T>(work: (trx: DatabaseTransaction) => Promise<T>): Promise<T> {
  const trx = await db.startTransaction().execute();
  try {
    return await work(trx);
  } finally {
    await trx.rollback().execute();
  }
}

async function add(item: Partial<QueuedItem> = {}): Promise<string> {
  const id = v7();
  const whole = { id, kind: 'task:a', projectId, needs: [], key: null, priority: 0, runAfter: null, ...item } as const;
  await inTransaction((trx) => queue.add(trx, whole));
  return whole.id;
}

const age = (id: string, seconds: number) =>
  sql`update queue_items set added_at = added_at - make_interval(secs => ${seconds}) where id = ${id}`.execute(db);

test('what was added in a rolled back transaction was never queued; what a rolled back claim took is there again', async () => {
  await expect(
    inTransaction(async (trx) => {
      await queue.add(trx, { id: v7(), kind: 'task:a', projectId, needs: [], key: null, priority: 0, runAfter: null });
      throw new Error('rolled back');
    }),
  ).rejects.toThrow('rolled back');
  expect(await claim(db)).toEqual([]);
  const id = await add();
  await expect(
    inTransaction(async (trx) => {
      expect(await claim(trx)).toEqual([id]);
      throw new Error('died');
    }),
  ).rejects.toThrow('died');
  expect(await claim(db)).toEqual([id]);
  await checkQueue(db);
});

test('priority first, and a minute of waiting is worth a point of it', async () => {
  const [low, high, old] = [await add(), await add({ priority: 5 }), await add()];
  await age(old, 301);
  expect(await claim(db, { max: 2 })).toEqual([old, high]);
  expect(await claim(db)).toEqual([low]);
});

test('a priority that is changed counts at once, of what waits only', async () => {
  const [first, second] = [await add(), await add()];
  expect(await inTransaction((trx) => queue.setPriority(trx, second, 1))).toBe(true);
  expect(await claim(db, { max: 1 })).toEqual([second]);
  expect(await inTransaction((trx) => queue.setPriority(trx, second, 9))).toBe(false);
  expect(await inTransaction((trx) => queue.setPriority(trx, v7(), 9))).toBe(false);
  expect(await claim(db)).toEqual([first]);
  await checkQueue(db);
});

test('what is put back waits again in its place, what is removed is gone; neither is counted twice', async () => {
  const [first, second] = [await add(), await add()];
  await age(first, 60);
  expect(await claim(db, { max: 1 })).toEqual([first]);
  expect(await inTransaction((trx) => queue.putBack(trx, first, null))).toBe(true);
  await checkQueue(db);
  expect(await claim(db)).toEqual([first, second]);
  await inTransaction((trx) => queue.remove(trx, first));
  await inTransaction((trx) => queue.remove(trx, first));
  expect(await inTransaction((trx) => queue.putBack(trx, first, null))).toBe(false);
  expect(await claim(db)).toEqual([]);
  await checkQueue(db);
});

test('what has a time is not given out before it; what is in the queue already is not added in silence', async () => {
  const later = await add({ runAfter: new Date(Date.now() + 3_600_000) });
  expect(await claim(db)).toEqual([]);
  await expect(add({ id: later })).rejects.toThrow('is in the queue already');
  await sql`update queue_items set ready_at = now() where id = ${later}`.execute(db);
  expect(await claim(db)).toEqual([later]);
});

test('only who has its labels, its kind and its project is given an item', async () => {
  const other = await addProject(db);
  const gpu = await add({ needs: ['gpu', 'arch=arm64'] });
  const flash = await add({ kind: 'task:flash' });
  expect(await claim(db, { labels: ['gpu'] })).toEqual([]);
  expect(await claim(db, { kinds: ['task:a', 'task:flash'], projects: [other] })).toEqual([]);
  expect(await claim(db, { kinds: ['task:flash'], projects: [projectId] })).toEqual([flash]);
  expect(await claim(db, { labels: ['x', 'gpu', 'arch=arm64'] })).toEqual([gpu]);
});

test('one of a key at a time, or as many as it may; the others are not held back', async () => {
  const [a1, a2, b1] = [await add({ key: 'a' }), await add({ key: 'a' }), await add({ key: 'b' })];
  expect(await claim(db)).toEqual([a1, b1]);
  expect(await inTransaction((trx) => queue.remove(trx, a1))).toBe(true);
  expect(await claim(db)).toEqual([a2]);
  await sql`select queue_limit_key(${projectId}, 'a', 3)`.execute(db);
  const more = [await add({ key: 'a' }), await add({ key: 'a' }), await add({ key: 'a' })];
  expect(await claim(db)).toEqual(more.slice(0, 2));
  await sql`select queue_limit_key(${projectId}, 'a', null)`.execute(db);
  await inTransaction((trx) => queue.remove(trx, a2));
  expect(await claim(db)).toEqual([]);
  await checkQueue(db);
});

test('what makes room is counted before one that comes is given out; what makes none is counted in its time', async () => {
  const remove = (id: string) => inTransaction((trx) => queue.remove(trx, id));
  const uncounted = async () => (await sql`select from queue_removals`.execute(db)).rows.length;
  const next = () => claim(db, { max: 1 });
  const plain = await add();
  expect(await next()).toEqual([plain]);
  // The lane of a key becomes free for one that has waited.
  const [first, second] = [await add({ key: 'k' }), await add({ key: 'k' })];
  expect(await claim(db)).toEqual([first]);
  await remove(first);
  const third = await add();
  expect(await next()).toEqual([second]);
  expect(await next()).toEqual([third]);
  // A project falls below its limit.
  await sql`update queue_owners set max_running = 3 where project_id = ${projectId}`.execute(db);
  const fourth = await add();
  expect(await next()).toEqual([]);
  await remove(second);
  const late = await add({ projectId: await addProject(db) });
  expect(await claim(db)).toEqual([late, fourth]);
  await sql`update queue_owners set max_running = null`.execute(db);
  for (const id of [plain, third, fourth, late]) await remove(id);
  expect(await next()).toEqual([]);
  expect(await uncounted()).toBe(0);
  // Of those that nobody waits for, no more than 16 pile up.
  for (let n = 0; n < 18; n += 1) {
    const one = await add();
    expect(await claim(db)).toEqual([one]);
    await remove(one);
    if (n === 15) expect(await uncounted()).toBe(16);
  }
  expect(await uncounted()).toBeLessThan(16);
  expect(await claim(db)).toEqual([]);
  await checkQueue(db);
});

test('limits of all and of a project hold, and what a project could not use is not owed to it', async () => {
  const other = await addProject(db);
  await sql`select queue_configure(${projectId}, 1, 1, 1)`.execute(db);
  const ours: string[] = [];
  const theirs: string[] = [];
  for (let index = 0; index < 6; index += 1) ours.push(await add());
  for (let index = 0; index < 12; index += 1) theirs.push(await add({ projectId: other }));
  await sql`select queue_limit(3)`.execute(db);
  expect((await claim(db)).toSorted()).toEqual([ours[0], theirs[0], theirs[1]].toSorted());
  expect(await claim(db)).toEqual([]);
  await sql`select queue_limit(null)`.execute(db);
  expect(await claim(db)).toEqual(theirs.slice(2));
  await inTransaction((trx) => queue.remove(trx, ours[0] ?? ''));
  await sql`select queue_configure(${projectId}, 1, null, 1)`.execute(db);
  const next = await add({ projectId: other });
  expect(await claim(db, { max: 3 })).toContain(next);
  await checkQueue(db);
});

test('nothing of what is paused starts, and all goes on afterwards', async () => {
  const id = await add();
  await sql`select queue_pause(${projectId}, 'me')`.execute(db);
  expect(await claim(db)).toEqual([]);
  await sql`select queue_resume(${projectId})`.execute(db);
  await sql`select queue_pause(null, 'me')`.execute(db);
  expect(await claim(db)).toEqual([]);
  await sql`select queue_resume(null)`.execute(db);
  expect(await claim(db)).toEqual([id]);
});

test('projects take turns as their weights say, and one that comes later is not behind what another has stored up', async () => {
  const other = await addProject(db);
  await sql`select queue_configure(${projectId}, 3, null, 1)`.execute(db);
  const ours = new Set<string>();
  for (let index = 0; index < 12; index += 1) ours.add(await add());
  expect(await claim(db, { max: 4 })).toHaveLength(4);
  for (let index = 0; index < 12; index += 1) await add({ projectId: other });
  const taken = await claim(db, { max: 8 });
  expect(taken.filter((id) => ours.has(id))).toHaveLength(6);
  const newcomer = await addProject(db);
  const one = await add({ projectId: newcomer });
  expect(await claim(db, { max: 2 })).toContain(one);
});

test('many are given out in the order in which one at a time would be', async () => {
  const projects = [projectId, await addProject(db), await addProject(db)];
  for (const [index, project] of projects.entries()) {
    // Powers of two, whose sums are exact: where a rounded turn meets another one, either may be first.
    await sql`select queue_configure(${project}, ${2 ** index}, ${index === 1 ? 4 : null}, 2)`.execute(db);
    for (let count = 0; count < 8; count += 1) {
      await add({ projectId: project, key: index === 2 && count % 2 === 0 ? 'k' : null });
    }
  }
  const singly = await undone(async (trx) => {
    const taken: string[] = [];
    for (let count = 0; count < 12; count += 1) taken.push(...(await claim(trx, { max: 1 })));
    return taken;
  });
  expect(await claim(db, { max: 12 })).toEqual(singly);
  await checkQueue(db);
});

test('those of a lane that is alone leave behind what one at a time would leave', async () => {
  await sql`select queue_configure(${projectId}, 2, 6, 1)`.execute(db);
  for (let count = 0; count < 8; count += 1) await add({ priority: count % 3 });
  await claim(db, { max: 1 });
  const left = async (trx: DatabaseTransaction) => {
    const rows = await sql<Record<string, unknown>>`
      select (select jsonb_agg(to_jsonb(t) order by pool_id) from queue_turns t where project_id = ${projectId}) as turns,
             (select jsonb_agg(to_jsonb(l)) from queue_lanes l) as lanes, (select to_jsonb(s) from queue_state s) as state,
             (select to_jsonb(o) from queue_owners o) as owner, (select jsonb_agg(turn order by id) from queue_shapes) as shapes
    `.execute(trx);
    return rows.rows[0];
  };
  for (const max of [4, 7]) {
    const singly = await undone(async (trx) => {
      const taken: string[] = [];
      for (let count = 0; count < max; count += 1) taken.push(...(await claim(trx, { max: 1 })));
      return { taken, left: await left(trx) };
    });
    const together = await undone(async (trx) => ({ taken: await claim(trx, { max }), left: await left(trx) }));
    expect(together).toEqual(singly);
    expect(together.taken).toHaveLength(Math.min(max, 5));
  }
  await claim(db, { max: 4 });
  await checkQueue(db);
});

test('of what a worker may take of a project the first goes first, whatever labels it needs', async () => {
  for (let index = 0; index < 3; index += 1) await add({ needs: index === 1 ? [] : ['x'] });
  const [urgent, plain] = [await add({ needs: ['x', 'y'], priority: 9 }), await add({ priority: 8 })];
  expect(await claim(db, { labels: ['x', 'y'], max: 2 })).toEqual([urgent, plain]);
});

test('what few workers take is not measured by what many take, and is owed nothing for it', async () => {
  const [busy, newcomer] = [await addProject(db), await addProject(db)];
  for (let index = 0; index < 20; index += 1) await add({ kind: 'task:slow' });
  for (let index = 0; index < 60; index += 1) await add({ projectId: busy });
  expect(await claim(db, { kinds: ['task:slow'], max: 1 })).toHaveLength(1);
  expect(await claim(db, { max: 30 })).toHaveLength(30);
  const theirs = [
    await add({ projectId: newcomer, kind: 'task:slow' }),
    await add({ projectId: busy, kind: 'task:slow' }),
  ];
  expect((await claim(db, { kinds: ['task:slow'], max: 2 })).toSorted()).toEqual(theirs.toSorted());
  await claim(db, { kinds: ['task:a', 'task:slow'], max: 12 });
  const { rows } = await sql<{ n: number }>`
    select count(*)::int as n from queue_items where kind = 'task:slow' and claimed_at is not null`.execute(db);
  expect(rows[0]?.n).toBe(1 + 2 + 6);
});

test('a credential holds back those that use it, and what changes hands waits for its new one', async () => {
  const credential = async (project: string | null, name: string) => {
    const id = v7();
    await sql`insert into credentials (id, project_id, kind, name, target, sealed, key_id)
      values (${id}, ${project}, 'MODEL_API_KEY', ${name}, 'KEY', 'x', 'k')`.execute(db);
    return id;
  };
  const shared = await credential(null, 'shared');
  await sql`insert into provider_keys values ('keyed', 'KEY')`.execute(db);
  const other = await addProject(db);
  const items = [v7(), v7(), v7()];
  for (const [index, id] of items.entries()) {
    const project = index < 2 ? projectId : other;
    await sql`select queue_add(${id}, 'task:a', ${project}, '{}', '', 'KEY', 0, now(), now())`.execute(db);
  }
  await sql`select queue_limit_gate(${shared}, 1)`.execute(db);
  expect(await claim(db)).toEqual([items[0]]);
  await checkQueue(db);
  await credential(other, 'own');
  await sql`select queue_regate('KEY')`.execute(db);
  const rest = await claim(db);
  expect(rest.length).toBeLessThanOrEqual(1);
  await sql`select queue_limit_gate(${shared}, null)`.execute(db);
  await claim(db);
  const { rows } = await sql<{
    n: number;
  }>`select count(*)::int as n from queue_items where claimed_at is null`.execute(db);
  expect(rows[0]?.n).toBe(0);
  await checkQueue(db);
});

test('an item or a project that somebody holds is passed over, which is said, and keeps its turn', async () => {
  const other = await addProject(db);
  const [first, second, theirs] = [await add(), await add(), await add({ projectId: other })];
  await inTransaction(async (trx) => {
    await sql`select 1 from queue_items where id = ${first} for update`.execute(trx);
    expect((await claim(db, { max: 2 })).toSorted()).toEqual([second, theirs].toSorted());
  });
  await inTransaction(async (trx) => {
    await sql`select 1 from projects where id = ${projectId} for no key update`.execute(trx);
    expect(await claimAll(db)).toEqual({ ids: [], hasPassedOver: true });
  });
  expect(await claimAll(db)).toEqual({ ids: [first], hasPassedOver: false });
});

test('tidying removes what nothing is in', async () => {
  const id = await add({ key: 'once', needs: ['x'] });
  expect(await claim(db, { labels: ['x'] })).toEqual([id]);
  await inTransaction((trx) => queue.remove(trx, id));
  await sql`select queue_tidy()`.execute(db);
  const { rows } = await sql<{ n: number }>`
    select (select count(*) from queue_lanes) + (select count(*) from queue_keys) + (select count(*) from queue_turns)
           + (select count(*) from queue_removals) as n`.execute(db);
  expect(Number(rows[0]?.n)).toBe(0);
});

test('what a claim and an end read does not grow with the projects that wait', async () => {
  const workerId = v7();
  await registerWorker(db, { id: workerId, name: 'w', place: 'here', version: '0', capacity: 1, agents: [] });
  await sql`with project as (
      insert into projects (id, slug, name, default_branch, created_by, build_count)
      select uuidv7(), 'many-' || n, 'P', 'main', 'test', 1 from generate_series(1, 300) n returning id
    ), build as (
      insert into build_audit (id, project_id, number, source, spec, requested_by)
      select uuidv7(), id, 1, 'API', '{"provider": "scripted", "branch": "main"}', 'test' from project returning *
    ), owner as (
      insert into queue_owners (project_id) select id from project
    )
    insert into queue_items (id, kind, project_id, key, variable, gate, needs, priority, added_at, ready_at)
    select id, 'build', project_id, '', '', '', '{}', 0, now(), now() from build`.execute(db);
  await sql`select queue_sort_in(1000)`.execute(db);
  const readRows = async (trx: DatabaseTransaction) => {
    const { rows } = await sql<{ name: string; rows: number }>`
      select name, (pg_stat_get_xact_tuples_returned(name::regclass) + pg_stat_get_xact_tuples_fetched(name::regclass))::int as rows
        from unnest('{projects,queue_owners,queue_turns,queue_lanes,queue_items,build_audit}'::text[]) name`.execute(
      trx,
    );
    return new Map(rows.map((row) => [row.name, row.rows]));
  };
  for (const max of [1, 3, 8]) {
    await inTransaction(async (trx) => {
      const before = await readRows(trx);
      const { rows } = await sql<{ id: string }>`
        select id from claim_builds(${workerId}, '{}', ${max}, null, 15, 0, '[{"type": "STARTED", "data": {}, "milestone": true}]',
                                    '[]')`.execute(trx);
      expect(rows).toHaveLength(max);
      await sql`select queue_remove_many(${rows.map(({ id }) => id)}::uuid[])`.execute(trx);
      for (const [name, count] of await readRows(trx))
        expect(count - (before.get(name) ?? 0), `${name}, claim of ${max}`).toBeLessThan(150);
    });
  }
});
