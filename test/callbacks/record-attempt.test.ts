import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import {
  type ClaimLimits,
  claimDeliveries,
  nextDueInMs,
  releaseDelivery,
} from '../../src/callbacks/claim-deliveries.ts';
import { findDeliveryAttempts } from '../../src/callbacks/delivery.ts';
import { nextStep, RETRY_DELAYS_MS, recordAttempt } from '../../src/callbacks/record-attempt.ts';
import type { CallbackAnswer } from '../../src/callbacks/send-callback.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { insertDelivery, insertFinishedBuild, insertProject } from './finished-builds.ts';

let database: TestDatabase;
let projectId: string;
let number = 0;

beforeAll(async () => {
  database = await openTestDatabase();
  projectId = await insertProject(database.db);
});

afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

beforeEach(async () => {
  await sql`truncate deliveries, delivery_attempts`.execute(database.db);
});

const ok: CallbackAnswer = { statusCode: 200, error: null, response: 'ok', durationMs: 5, retryAfterMs: null };
const failed: CallbackAnswer = { ...ok, statusCode: 500, error: 'The receiver answered 500.' };

async function insert(url = 'https://bot.example.com/'): Promise<string> {
  number += 1;
  const buildId = await insertFinishedBuild(database.db, { projectId, number });
  const id = await insertDelivery(database.db, { projectId, buildId, url });
  // Times are rounded to milliseconds, maybe up: it is due for certain.
  await sql`update deliveries set due_at = now() - interval '1 s' where id = ${id}`.execute(database.db);
  return id;
}

const claim = (limits: Partial<ClaimLimits> = {}) =>
  claimDeliveries(database.db, { places: 64, perHost: 4, sending: [], ...limits });

async function claimOne() {
  const [delivery] = await claim();
  if (!delivery) throw new Error('Nothing was due.');
  return delivery;
}

const passTime = () =>
  sql`update deliveries set due_at = now() - interval '1 s', lease_until = now() - interval '1 s'
                            where status = 'PENDING'`.execute(database.db);

test('the pauses are those of Standard Webhooks, a tenth more or less, and then it has failed', () => {
  const hours = [5 / 3600, 5 / 60, 0.5, 2, 5, 10, 14, 20, 24];
  expect(RETRY_DELAYS_MS.map((ms) => ms / 3_600_000)).toEqual(hours);
  for (const [index, pause] of RETRY_DELAYS_MS.entries()) {
    expect(nextStep(index + 1, failed, () => 0)).toEqual({ status: 'PENDING', dueInMs: Math.round(pause * 0.9) });
    expect(nextStep(index + 1, failed, () => 1)).toEqual({ status: 'PENDING', dueInMs: Math.round(pause * 1.1) });
  }
  expect(nextStep(10, failed)).toEqual({ status: 'FAILED', dueInMs: null });
  expect(nextStep(10, ok)).toEqual({ status: 'DELIVERED', dueInMs: null });
});

test('Retry-After makes a pause longer, never shorter; 410 leaves none', () => {
  const asked = { ...failed, retryAfterMs: 60_000 };
  expect(nextStep(1, asked)).toEqual({ status: 'PENDING', dueInMs: 60_000 });
  expect(nextStep(2, asked, () => 0.5)).toEqual({ status: 'PENDING', dueInMs: 300_000 });
  expect(nextStep(1, { ...asked, statusCode: 410 })).toEqual({ status: 'FAILED', dueInMs: null });
});

test('a claim is held for a minute, and then due again under another lease', async () => {
  const id = await insert();
  const first = await claimOne();
  expect(first).toMatchObject({ id, host: 'bot.example.com', tries: 0 });
  expect(first.leaseUntil.getTime() - first.claimedAt.getTime()).toBe(60_000);
  expect(await claim()).toEqual([]);
  await passTime();
  const second = await claimOne();
  expect(second.id).toBe(id);
  // The first one comes back to life: it must not decide about the second one's try.
  expect(await recordAttempt(database.db, { delivery: first, answer: failed })).toBeNull();
  await releaseDelivery(database.db, first);
  expect(await claim()).toEqual([]);
  expect(await recordAttempt(database.db, { delivery: second, answer: ok })).toMatchObject({ status: 'DELIVERED' });
  expect(await findDeliveryAttempts(database.db, [id])).toMatchObject([{ attemptNo: 1, error: null }]);
});

test('a delivery that was given back is due at once', async () => {
  await insert();
  await releaseDelivery(database.db, await claimOne());
  expect(await claim()).toHaveLength(1);
});

test('claims keep to the limits of hosts and of the whole, the longest due first', async () => {
  for (let index = 0; index < 10; index += 1) await insert('https://a.example.com/x');
  for (let index = 0; index < 3; index += 1) await insert('https://B.example.com:8443/?x=1');
  const sending = (count: number) => Array(count).fill({ projectId, host: 'a.example.com' });
  expect((await claim({ sending: sending(3) })).map(({ host }) => host).sort()).toEqual([
    'a.example.com',
    'b.example.com:8443',
    'b.example.com:8443',
    'b.example.com:8443',
  ]);
  expect(await claim({ places: 5 })).toHaveLength(2);
  expect(await claim({ sending: sending(4) })).toEqual([]);
});

test('claims go from project to project in turns, also at one host, and through an index', async () => {
  for (let index = 0; index < 30; index += 1) await insert('https://bot.example.com/');
  const first = projectId;
  projectId = await insertProject(database.db);
  for (let index = 0; index < 2; index += 1) await insert('https://bot.example.com/');
  const claimed = (await claim()).map((delivery) => delivery.projectId);
  expect(claimed.sort()).toEqual([first, first, projectId, projectId].sort());
  const plan = await database.db.transaction().execute(async (trx) => {
    // Of so few rows the planner would rather sort them, by whatever index.
    for (const way of ['seqscan', 'bitmapscan', 'sort']) await sql.raw(`set local enable_${way} = off`).execute(trx);
    return sql`explain select host, project_id from deliveries
                where status = 'PENDING' and (host, project_id) > ('a', ${projectId}::uuid)
                order by host, project_id limit 1`.execute(trx);
  });
  expect(JSON.stringify(plan.rows)).toContain('deliveries_due_by_host_and_project');
});

test('two processes that claim at the same moment never get the same delivery', async () => {
  for (let index = 0; index < 40; index += 1) await insert(`https://host-${index % 10}.example.com/`);
  const claims = await Promise.all(Array.from({ length: 6 }, () => claim()));
  const ids = claims.flat().map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.length).toBeGreaterThanOrEqual(16);
});

test('what becomes due next is known, and what is due already does not count', async () => {
  expect(await nextDueInMs(database.db)).toBeNull();
  await insert();
  expect(await nextDueInMs(database.db)).toBeNull();
  await sql`update deliveries set due_at = now() + interval '90 s'`.execute(database.db);
  const ms = await nextDueInMs(database.db);
  expect(ms).toBeGreaterThan(60_000);
  // The column has milliseconds, rounded.
  expect(ms).toBeLessThanOrEqual(90_001);
});

test('the newest 50 attempts are kept', async () => {
  const id = await insert();
  for (let round = 0; round < 55; round += 1) {
    await recordAttempt(database.db, { delivery: { ...(await claimOne()), tries: 0 }, answer: failed });
    await passTime();
  }
  const attempts = await findDeliveryAttempts(database.db, [id]);
  expect(attempts.map(({ attemptNo }) => attemptNo)).toEqual(Array.from({ length: 50 }, (_, index) => index + 6));
});
