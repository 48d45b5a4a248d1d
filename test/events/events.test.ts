import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Database } from '../../src/database/database.ts';
import { appendEvents } from '../../src/events/append-events.ts';
import type { BuildEvent, NewBuildEvent } from '../../src/events/event.ts';
import type { EventHub } from '../../src/events/event-hub.ts';
import { follow } from '../../src/events/follow.ts';
import { readEvents } from '../../src/events/read-events.ts';
import { eventsTopic } from '../../src/events/topics.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { insertBuilds } from '../support/events.ts';
import { openTestHub } from '../support/hub.ts';
import { waitFor } from '../support/wait-for.ts';

let database: TestDatabase;
/** Two processes: one writes, the other one follows. */
let writer: EventHub;
let reader: EventHub;

beforeAll(async () => {
  database = await openTestDatabase();
  writer = await openTestHub(database);
  reader = await openTestHub(database);
});

afterAll(async () => {
  await writer[Symbol.asyncDispose]();
  await reader[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
});

const progress = (message: string): NewBuildEvent => ({ type: 'PROGRESS', data: { message } });
const finished: NewBuildEvent = { type: 'FINISHED', data: { status: 'COMPLETED', reason: null, message: null } };

async function append(buildId: string, events: readonly NewBuildEvent[]): Promise<void> {
  await appendEvents(database.db, { buildId, attemptNo: null }, events);
  writer.announce(eventsTopic(buildId));
}

const PAGE = 200;

function followBuild(buildId: string, after = 0, hub = reader, db: Database = database.db) {
  const topic = eventsTopic(buildId);
  return follow<BuildEvent>({
    hub,
    topic,
    share: topic,
    page: PAGE,
    load: (cursor) => readEvents(db, { buildId, after: cursor, limit: PAGE }),
    cursorOf: (event) => event.seq,
    rowsOf: (carried) => carried,
    isLast: (event) => event.type === 'FINISHED',
    after,
  });
}

/** A follower in the process of `reader` that has read all there is, and how often it reads after that. */
async function followCounting(buildId: string) {
  const known = await readEvents(database.db, { buildId, after: 0, limit: PAGE });
  let loads = 0;
  const events = follow<BuildEvent>({
    hub: reader,
    topic: eventsTopic(buildId),
    async load(after) {
      const found = await readEvents(database.db, { buildId, after, limit: PAGE });
      loads += 1;
      return found;
    },
    cursorOf: (event) => event.seq,
    rowsOf: (carried) => carried,
    isLast: () => false,
    after: known.length,
  });
  let next = events.next();
  await waitFor(() => loads === 1);
  return {
    async take(count: number): Promise<BuildEvent[]> {
      const taken: BuildEvent[] = [];
      while (taken.length < count) {
        taken.push((await next).value as BuildEvent);
        next = events.next();
      }
      return taken;
    },
    reads: () => loads - 1,
    close: () => events.close(),
  };
}

/** As another process of any version would. */
async function notify(buildId: string, carried: string): Promise<void> {
  const payload = `another\n${eventsTopic(buildId)}\n+${carried}`;
  await sql`select pg_notify('slipway', ${payload})`.execute(database.db);
}

describe('a hint that carries events', () => {
  let buildId: string;
  let follower: Awaited<ReturnType<typeof followCounting>>;

  beforeEach(async () => {
    buildId = (await insertBuilds(database.db))[0]?.buildId ?? '';
    await appendEvents(database.db, { buildId, attemptNo: null }, [progress('zero')]);
    follower = await followCounting(buildId);
  });

  afterEach(() => follower.close());

  const rows = () => readEvents(database.db, { buildId, after: 1, limit: PAGE });

  test('gives what the rows say, and nobody reads them', async () => {
    const taken: BuildEvent[] = [];
    for (const text of ['one', 'two\n+\u2028 "ä" \\', 'three']) {
      await append(buildId, [progress(text), { type: 'GIT_PUSHED', data: { sha: 'a', ref: 'b' } }]);
      // Who asks for more after the next hint reads.
      taken.push(...(await follower.take(2)));
    }
    expect(taken).toEqual(await rows());
    expect(follower.reads()).toBe(0);
  });

  test.each([
    ['many', Array.from({ length: 17 }, (_, index) => progress(String(index)))],
    ['large', [progress('x'.repeat(8_000))]],
    ['large in bytes', [progress('ä'.repeat(3_950))]],
  ])('carries none that are too %s: they are read', async (_, events) => {
    await append(buildId, events);
    expect(await follower.take(events.length)).toEqual(await rows());
    expect(follower.reads()).toBeGreaterThan(0);
  });

  test('is read around where something before it is missing, and when it comes twice or late', async () => {
    await appendEvents(database.db, { buildId, attemptNo: null }, [progress('one'), progress('two')]);
    const [one, two] = (await rows()).map(({ seq, attemptNo, type, at, data }) => [seq, attemptNo, type, +at, data]);
    await notify(buildId, JSON.stringify([two]));
    expect(await follower.take(2)).toEqual(await rows());
    const reads = follower.reads();
    expect(reads).toBeGreaterThan(0);
    await notify(buildId, JSON.stringify([one]));
    await notify(buildId, JSON.stringify([one, two]));
    await append(buildId, [progress('three')]);
    expect((await follower.take(1)).map(({ seq }) => seq)).toEqual([4]);
  });

  test.each([
    'no JSON',
    '{}',
    '[]',
    '[null]',
    '[[2, 0, "PROGRESS", 0]]',
    '[["2", 0, "PROGRESS", 0, {}]]',
    '[[2, 0, "PROGRESS", 0, {"message":"forged"}], [4, 0, "PROGRESS", 0, {}]]',
  ])('that cannot be read is a hint as any other: %s', async (carried) => {
    await appendEvents(database.db, { buildId, attemptNo: null }, [progress('one')]);
    await notify(buildId, carried);
    expect(await follower.take(1)).toEqual(await rows());
  });

  test('hides nothing that another process has stored and announced meanwhile', async () => {
    const another = await openTestHub(database);
    const hubs = [writer, another];
    for (let index = 0; index < 60; index += 1) {
      await Promise.all(
        hubs.map(async (hub) => {
          await appendEvents(database.db, { buildId, attemptNo: null }, [progress(String(index))]);
          hub.announce(eventsTopic(buildId));
        }),
      );
    }
    expect((await follower.take(120)).map(({ seq }) => seq)).toEqual(Array.from({ length: 120 }, (_, at) => at + 2));
    await another[Symbol.asyncDispose]();
  });
});

describe('numbers', () => {
  test('1,000 events of 8 concurrent writers are 1..1,001 for a follower that watched, and for one that came late', async () => {
    const [build] = await insertBuilds(database.db);
    const buildId = build?.buildId ?? '';
    const seen: number[] = [];
    const watching = (async () => {
      for await (const event of followBuild(buildId)) seen.push(event.seq);
    })();
    await Promise.all(
      Array.from({ length: 8 }, async (_, name) => {
        for (let i = 0; i < 125; i += 1) await append(buildId, [progress(`${name}.${i}`)]);
      }),
    );
    await append(buildId, [finished]);
    await watching;
    const all = Array.from({ length: 1_001 }, (_, index) => index + 1);
    expect(seen).toEqual(all);
    const late: number[] = [];
    for await (const event of followBuild(buildId, 990)) late.push(event.seq);
    expect(late).toEqual(all.slice(990));
  });

  test('a rolled back writer leaves no gap', async () => {
    const [build] = await insertBuilds(database.db);
    const buildId = build?.buildId ?? '';
    await append(buildId, [progress('one')]);
    await expect(
      database.db.transaction().execute(async (trx) => {
        await appendEvents(trx, { buildId, attemptNo: null }, [progress('never')]);
        throw new Error('rolled back');
      }),
    ).rejects.toThrow('rolled back');
    await append(buildId, [progress('two')]);
    const events = await readEvents(database.db, { buildId, after: 0, limit: 10 });
    expect(events.map((event) => [event.seq, event.data])).toEqual([
      [1, { message: 'one' }],
      [2, { message: 'two' }],
    ]);
  });

  test('a superseded attempt writes nothing', async () => {
    const [build] = await insertBuilds(database.db);
    const buildId = build?.buildId ?? '';
    expect(await appendEvents(database.db, { buildId, attemptNo: 7 }, [progress('zombie')])).toBeNull();
    expect(await readEvents(database.db, { buildId, after: 0, limit: 10 })).toEqual([]);
  });

  test('milestones of all builds have one order in the project', async () => {
    const builds = await insertBuilds(database.db, 3);
    await Promise.all(
      builds.flatMap(({ buildId }) =>
        Array.from({ length: 10 }, () =>
          append(buildId, [progress('detail'), { type: 'GIT_PUSHED', data: { sha: 'a', ref: 'b' } }]),
        ),
      ),
    );
    const rows = await database.db
      .selectFrom('project_events')
      .select(['seq', 'type'])
      .where('project_id', '=', builds[0]?.projectId ?? '')
      .orderBy('seq')
      .execute();
    expect(rows.map((row) => row.seq)).toEqual(Array.from({ length: 30 }, (_, index) => index + 1));
    expect(new Set(rows.map((row) => row.type))).toEqual(new Set(['GIT_PUSHED']));
  });
});

describe('hub', () => {
  test('a killed LISTEN connection comes back, and nothing is missed meanwhile', async () => {
    const [build] = await insertBuilds(database.db);
    const buildId = build?.buildId ?? '';
    const seen: number[] = [];
    const watching = (async () => {
      for await (const event of followBuild(buildId)) seen.push(event.seq);
    })();
    for (let i = 0; i < 50; i += 1) {
      if (i % 10 === 5) {
        await sql`select pg_terminate_backend(pid) from pg_stat_activity
          where application_name = 'slipway listen' and datname = current_database()`.execute(database.db);
      }
      await append(buildId, [progress(String(i))]);
    }
    await append(buildId, [finished]);
    await watching;
    expect(seen).toEqual(Array.from({ length: 51 }, (_, index) => index + 1));
    await waitFor(() => reader.listening && writer.listening);
  });
});

describe('follow', () => {
  test('a follower that waits ends at once when it is returned, and leaves no waiter', async () => {
    const [build] = await insertBuilds(database.db);
    const before = reader.waiters;
    const follower = followBuild(build?.buildId ?? '');
    const next = follower.next();
    await waitFor(() => reader.waiters === before + 1);
    await follower.return?.();
    expect(await next).toEqual({ done: true, value: undefined });
    expect(reader.waiters).toBe(before);
  });

  test('200 followers of one build cost about one query per event, not 200', async () => {
    const [build] = await insertBuilds(database.db);
    const buildId = build?.buildId ?? '';
    let queries = 0;
    const counted = database.db.withPlugin({
      transformQuery({ node }) {
        queries += 1;
        return node;
      },
      transformResult: async ({ result }) => result,
    });
    const counts = Array.from({ length: 200 }, async () => {
      let count = 0;
      for await (const _ of followBuild(buildId, 0, reader, counted)) count += 1;
      return count;
    });
    for (let i = 0; i < 20; i += 1) await append(buildId, [progress(String(i))]);
    await append(buildId, [finished]);
    expect(await Promise.all(counts)).toEqual(Array.from({ length: 200 }, () => 21));
    console.log(`200 followers, 21 events: ${queries} queries`);
    expect(queries).toBeLessThan(200);
  });

  test('a failing load is an error for the consumer and ends the follower', async () => {
    const before = reader.waiters;
    const follower = follow<BuildEvent>({
      hub: reader,
      topic: 'events:x',
      load: async () => {
        throw new Error('the database is gone');
      },
      cursorOf: (event) => event.seq,
      isLast: () => false,
      after: 0,
    });
    await expect(follower.next()).rejects.toThrow('the database is gone');
    expect(await follower.next()).toEqual({ done: true, value: undefined });
    expect(reader.waiters).toBe(before);
  });
});
