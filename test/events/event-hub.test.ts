/** What is told to other processes: every hint once its flush has come, whatever happens to the flush. */
import { sql } from 'kysely';
import pg from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { EventHub } from '../../src/events/event-hub.ts';
import { eventsTopic, type Topic } from '../../src/events/topics.ts';
import { armFailpoints } from '../../src/std/failpoint.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { openTestHub } from '../support/hub.ts';
import { waitFor } from '../support/wait-for.ts';

let database: TestDatabase;
/** Two processes: one tells, the other one hears. */
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

test('the payload of a flush fits, however many topics there are', async () => {
  const topics = Array.from(
    { length: 2_000 },
    (_, index): Topic => `events:${index}-01990000-0000-7000-8000-000000000000`,
  );
  const woken = new Set<string>();
  const offs = topics.map((topic) => reader.on(topic, () => woken.add(topic)));
  writer.announce(...topics);
  await waitFor(() => woken.size === topics.length, { what: 'every topic' });
  for (const off of offs) off();
});

test('what is announced while a flush of several pauses is told, also by a hub that closes', async () => {
  const hub = await openTestHub(database);
  const topics = ["events:it's", 'events:b', 'events:c'] as const;
  const heard: string[] = [];
  const off = topics.map((topic) => reader.on(topic, () => heard.push(topic)));
  hub.announce(topics[0]);
  hub.announce(topics[1]);
  // Sent, and not answered yet.
  for (let turn = 0; turn < 2; turn += 1) await new Promise((done) => setImmediate(done));
  hub.announce(topics[2]);
  await hub[Symbol.asyncDispose]();
  await waitFor(() => heard.length >= 3);
  expect(heard).toEqual(topics);
  for (const stop of off) stop();
});

test('what an announcer writes next leaves before the hint', async () => {
  // A connection that is open.
  await sql`select 1`.execute(database.db);
  const heard: string[] = [];
  const off = reader.on('tasks', () => heard.push('tasks'));
  const query = vi.spyOn(pg.Client.prototype, 'query');
  try {
    writer.announce('tasks');
    // As whoever gathers what comes together does it.
    await new Promise((done) => setImmediate(done));
    await sql`select 2`.execute(database.db);
    await waitFor(() => heard.length > 0, { what: 'the hint' });
    const sent = query.mock.calls.map(([text]) => JSON.stringify(text)).filter((text) => /notify|select 2/.test(text));
    expect(sent.map((text) => (text.includes('notify') ? 'hint' : 'write'))).toEqual(['write', 'hint']);
  } finally {
    query.mockRestore();
    off();
  }
});

test('what could not be told is told again, without anything else to tell and without a new connection', async () => {
  const heard: string[] = [];
  const off = reader.on('tasks', () => heard.push('tasks'));
  armFailpoints([{ point: 'notify.begin', fault: { kind: 'fail' }, pass: 1 }]);
  try {
    writer.announce('tasks');
    await waitFor(() => heard.length > 0, { deadlineMs: 5_000, what: 'the hint' });
    expect(writer.listening).toBe(true);
  } finally {
    armFailpoints([]);
    off();
  }
});

test('a hint whose events cannot be read is told without them', async () => {
  const topic = eventsTopic('00000000-0000-7000-8000-000000000000');
  const heard: unknown[] = [];
  const off = reader.on(topic, (carried) => heard.push(carried));
  await sql`alter table build_events rename to hidden_events`.execute(database.db);
  try {
    writer.announce(topic);
    await waitFor(() => heard.length > 0, { deadlineMs: 5_000, what: 'the hint' });
    expect(heard).toEqual([null]);
  } finally {
    await sql`alter table hidden_events rename to build_events`.execute(database.db);
    off();
  }
});

test('what is announced in the moment in which a flush ends is told', async () => {
  const { query } = pg.Client.prototype;
  let turns = 0;
  let wanted: Topic | null = null;
  const announceLater = (topic: Topic, after: number): void =>
    after === 0 ? writer.announce(topic) : queueMicrotask(() => announceLater(topic, after - 1));
  pg.Client.prototype.query = function (this: pg.Client, ...asked: unknown[]) {
    const answer = Reflect.apply(query, this, asked);
    const topic = wanted;
    if (topic && typeof asked[0] === 'string' && asked[0].startsWith('notify')) {
      wanted = null;
      void answer.then(() => announceLater(topic, turns));
    }
    return answer;
  } as typeof query;
  try {
    // The number of turns until it has ended is nobody's promise: each is tried.
    for (; turns < 12; turns += 1) {
      const topic: Topic = `events:after-${turns}`;
      let heard = false;
      const off = reader.on(topic, () => {
        heard = true;
      });
      wanted = topic;
      writer.announce('queue');
      await waitFor(() => heard, { deadlineMs: 2_000, what: `a hint ${turns} turns after the answer` });
      off();
    }
  } finally {
    pg.Client.prototype.query = query;
  }
});

test('its own announcements wake a process at once, and only once', async () => {
  let wakes = 0;
  const off = writer.on('queue', () => {
    wakes += 1;
  });
  let elsewhere = 0;
  const offReader = reader.on('queue', () => {
    elsewhere += 1;
  });
  writer.announce('queue');
  expect(wakes).toBe(1);
  await waitFor(() => elsewhere === 1);
  expect(wakes).toBe(1);
  off();
  offReader();
});
