/** Positions against the queue itself: what is said before is compared with the order in which items are given out. */
import fc from 'fast-check';
import { sql } from 'kysely';
import { v7 } from 'uuid';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Database } from '../../src/database/database.ts';
import { readQueuePositions } from '../../src/stats/queue-positions.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { addProject, claim } from '../support/queue.ts';

let database: TestDatabase;
let db: Database;
const projects: string[] = [];
/** Of the worker that lives: it serves two pools. */
const BOTH = ['gpu'];

beforeAll(async () => {
  database = await openTestDatabase();
  db = database.db;
  for (let index = 0; index < 4; index += 1) projects.push(await addProject(db));
  const worker = {
    id: v7(),
    name: 'both',
    host: 'test',
    process: 'test',
    version: '0',
    capacity: 1,
    labels: [...BOTH],
  };
  // It lives however long this takes.
  await db
    .insertInto('workers')
    .values({ ...worker, heartbeat_at: sql`'infinity'` })
    .execute();
});
afterAll(() => database[Symbol.asyncDispose]());

beforeEach(empty);

async function empty(): Promise<void> {
  await sql`truncate queue_items, queue_removals, queue_owners, queue_lanes, queue_turns, queue_keys, queue_gates`.execute(
    db,
  );
  await sql`update queue_state set running = 0`.execute(db);
}

interface Item {
  readonly project: number;
  readonly priority: number;
  readonly needs?: readonly string[];
}

/** In one statement, so that many are quick. */
async function addAll(items: readonly Item[], age = 0): Promise<string[]> {
  const rows = items.map(({ project, priority, needs = [] }) => ({
    id: v7(),
    project: projects[project] ?? '',
    priority,
    needs: `{${needs.join()}}`,
  }));
  await sql`
    select queue_add(i.id, 'task:a', i.project, i.needs::text[], '', '', i.priority,
                     now() - make_interval(secs => ${age} - i.n * 0.001), now())
      from rows from (unnest(${rows.map(({ id }) => id)}::uuid[]), unnest(${rows.map(({ project }) => project)}::uuid[]),
                      unnest(${rows.map(({ priority }) => priority)}::int[]), unnest(${rows.map(({ needs }) => needs)}::text[]))
             with ordinality i (id, project, priority, needs, n)`.execute(db);
  return rows.map(({ id }) => id);
}

/** One at a time: what is said of a place must hold for what is given out next. */
async function drain(): Promise<string[]> {
  const given: string[] = [];
  for (;;) {
    const [id] = await claim(db, { max: 1, labels: BOTH });
    if (id === undefined) return given;
    given.push(id);
  }
}

const labels = fc.subarray(BOTH);
const item = fc.record({
  project: fc.integer({ min: 0, max: 3 }),
  priority: fc.integer({ min: -1, max: 1 }),
  needs: labels,
});
const case_ = fc.record({
  before: fc.array(item, { maxLength: 12 }),
  claims: fc.array(fc.record({ labels, max: fc.integer({ min: 1, max: 6 }) }), { maxLength: 3 }),
  after: fc.array(item, { minLength: 1, maxLength: 20 }),
  sortedIn: fc.boolean(),
});

/** The second had its turn coming when its only item went: with its next one it comes anew, and ties with the third. */
const LEFT_AND_BACK = {
  before: [2, 1].map((project) => ({ project, priority: 0, needs: [] })),
  claims: [{ labels: [], max: 1 }],
  after: [2, 0].map((project) => ({ project, priority: 0, needs: [] })),
  sortedIn: false,
};

test('of projects of equal weight a position is the number of items that are given out before, and one', async () => {
  await fc.assert(
    fc.asyncProperty(case_, async ({ before, claims, after, sortedIn }) => {
      await empty();
      const known = await addAll(before, 600);
      for (const one of claims) await claim(db, one);
      // Some are gone again, and nobody has counted that.
      await sql`select queue_remove(id) from unnest(${known.slice(0, 2)}::uuid[]) id`.execute(db);
      const added = await addAll(after);
      if (sortedIn) await claim(db, { max: 0 });
      const said = await readQueuePositions(db, [...known, ...added]);
      const given = await drain();
      expect(given.map((id) => said.get(id))).toEqual(given.map((_, index) => index + 1));
    }),
    { numRuns: 25, examples: [[LEFT_AND_BACK]] },
  );
});

test('with weights it is off by less than one for each project', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom(0.5, 1, 2, 3, 7), { minLength: 4, maxLength: 4 }),
      fc.array(item, { minLength: 1, maxLength: 30 }),
      async (weights, items) => {
        await empty();
        for (const [index, weight] of weights.entries()) {
          await sql`select queue_configure(${projects[index]}, ${weight}, null, 1)`.execute(db);
        }
        const ids = await addAll(items);
        const said = await readQueuePositions(db, ids);
        const given = await drain();
        for (const [index, id] of given.entries()) {
          expect(Math.abs((said.get(id) ?? 0) - (index + 1))).toBeLessThan(projects.length);
        }
      },
    ),
    { numRuns: 15 },
  );
});

test('beyond the first thousand of a project it is near, also beside others', async () => {
  const many = await addAll(Array.from({ length: 5_000 }, () => ({ project: 0, priority: 0 })));
  const few = await addAll(Array.from({ length: 3 }, () => ({ project: 1, priority: 0 })));
  for (const sortedIn of [false, true]) {
    if (sortedIn) await claim(db, { max: 0 });
    const said = await readQueuePositions(db, [
      ...few,
      ...[500, 1_500, 3_000, 4_999].map((index) => many[index] ?? ''),
    ]);
    expect(few.map((id) => said.get(id))).toEqual([2, 4, 6]);
    expect(said.get(many[500] ?? '')).toBe(504);
    for (const index of [1_500, 3_000, 4_999]) {
      expect(Math.abs((said.get(many[index] ?? '') ?? 0) - (index + 4))).toBeLessThan(100);
    }
  }
});

test('who was held back by a limit is owed nothing for it', async () => {
  await sql`select queue_configure(${projects[2]}, 1, 1, 1)`.execute(db);
  const ids = await addAll([2, 2, 1, 1, 1].map((project) => ({ project, priority: 0 })));
  expect(await claim(db, { max: 3 })).toEqual([ids[2], ids[0], ids[3]]);
  await sql`select queue_remove(${ids[0]})`.execute(db);
  ids.push(...(await addAll([{ project: 0, priority: 0 }])));
  const said = await readQueuePositions(db, ids);
  const given = await drain();
  expect(given).toEqual([ids[5], ids[1], ids[4]]);
  expect(given.map((id) => said.get(id))).toEqual([1, 2, 3]);
});

test('what is paused, what other workers take, and what is running goes before nobody', async () => {
  const [, , mine] = await addAll([0, 1, 2].map((project) => ({ project, priority: 0 })));
  await sql`select queue_add(${v7()}, 'task:b', ${projects[3]}, '{}', '', '', 9, now(), now())`.execute(db);
  await sql`select queue_add(${v7()}, 'task:a', ${projects[3]}, '{arm}', '', '', 9, now(), now())`.execute(db);
  await claim(db, { max: 0 });
  const position = async () => (await readQueuePositions(db, [mine ?? ''])).get(mine ?? '');
  expect(await position()).toBe(3);
  await sql`select queue_pause(${projects[0]}, 'me')`.execute(db);
  expect(await position()).toBe(2);
  expect(await claim(db, { max: 1 })).toHaveLength(1);
  expect(await position()).toBe(1);
  await claim(db);
  expect(await position()).toBeUndefined();
});
