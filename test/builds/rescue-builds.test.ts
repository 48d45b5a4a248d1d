/** Lost builds: one that cannot be moved keeps no other one waiting, and nothing is rescued for ever. */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type ClaimedBuild, findBuild } from '../../src/builds/build.ts';
import type { Heir } from '../../src/builds/pass-on-build.ts';
import { openPostgresLedger } from '../../src/builds/postgres-ledger.ts';
import { inheritBuilds, rescueBuilds } from '../../src/builds/rescue-builds.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { SupersededError } from '../../src/errors.ts';
import { readEvents } from '../../src/events/read-events.ts';
import { cordonWorker } from '../../src/workers/administer-worker.ts';
import { claimByHand, claimer, registerByHand } from '../support/claim.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';

let stack: TestStack;
let projectId: string;
let workerId: string;

beforeEach(async () => {
  stack = await openTestStack();
  projectId = (await stack.createProject()).id;
  workerId = await registerByHand(stack);
});

afterEach(async () => {
  await stack[Symbol.asyncDispose]();
});

async function startClaimed(): Promise<ClaimedBuild> {
  await startBuild(stack.orchestrator, { projectId, spec: { prompt: script({ print: 'x' }) } }, 'test');
  return claimByHand(stack, workerId);
}

const statusOf = async ({ id }: ClaimedBuild) => (await findBuild(stack.orchestrator.db, id))?.status;

const expireAll = () =>
  sql`update build_audit set lease_until = now() - interval '1 s' where status = 'RUNNING'`.execute(
    stack.orchestrator.db,
  );

async function outcomeOf({ id, attemptNo }: ClaimedBuild) {
  const query = stack.orchestrator.db.selectFrom('build_attempts').select('outcome');
  return (await query.where('build_id', '=', id).where('attempt_no', '=', attemptNo).executeTakeFirst())?.outcome;
}

test('a build whose row somebody holds is left to the next pass; the others go on', async () => {
  const builds = [await startClaimed(), await startClaimed(), await startClaimed()] as const;
  await expireAll();
  await stack.orchestrator.db.transaction().execute(async (trx) => {
    await trx.selectFrom('build_audit').select('id').where('id', '=', builds[1].id).forUpdate().execute();
    expect(await rescueBuilds(stack.orchestrator, 'expired')).toBe(2);
  });
  expect(await Promise.all(builds.map(statusOf))).toEqual(['PENDING', 'RUNNING', 'PENDING']);
  expect(await rescueBuilds(stack.orchestrator, 'expired')).toBe(1);
  expect(await rescueBuilds(stack.orchestrator, 'expired')).toBe(0);
});

test('a build that cannot be moved does not keep the others from it, and is told about', async () => {
  const builds = [await startClaimed(), await startClaimed(), await startClaimed()] as const;
  await expireAll();
  await sql`alter table build_attempts add check (build_id <> ${sql.lit(builds[1].id)} or outcome is null)`.execute(
    stack.orchestrator.db,
  );
  await expect(rescueBuilds(stack.orchestrator, 'expired')).rejects.toThrow('violates check constraint');
  expect(await Promise.all(builds.map(statusOf))).toEqual(['PENDING', 'RUNNING', 'PENDING']);
});

test('workers that rescue at the same moment move each build once', async () => {
  const builds = [await startClaimed(), await startClaimed(), await startClaimed(), await startClaimed()];
  const which = { workers: [workerId] };
  const counts = await Promise.all([1, 2, 3].map(() => rescueBuilds(stack.orchestrator, which)));
  expect(counts.reduce((sum, count) => sum + count)).toBe(builds.length);
  const { rows } = await sql<{ lost: number; waiting: number }>`
    select sum(lost_attempts)::integer as lost,
           (select count(*) from queue_items where claimed_at is null) as waiting from build_audit`.execute(
    stack.orchestrator.db,
  );
  expect(rows).toEqual([{ lost: builds.length, waiting: builds.length }]);
});

test('the attempt that ends a build by its loss is LOST, not FINISHED', async () => {
  await startClaimed();
  await expireAll();
  await rescueBuilds(stack.orchestrator, 'expired');
  const second = await claimByHand(stack, workerId);
  await expireAll();
  await rescueBuilds(stack.orchestrator, 'expired');
  const ended = await findBuild(stack.orchestrator.db, second.id);
  expect(ended?.failure).toMatchObject({ reason: 'WORKER_LOST', message: expect.stringContaining('2 times') });
  expect(await outcomeOf(second)).toBe('LOST');
});

const COMMIT = { sha: 'a'.repeat(40), branch: 'main', expected: null, filesChanged: [] };

/** The last of ten workers that die after the push was intended. */
async function loseTenWorkers(build: ClaimedBuild): Promise<ClaimedBuild> {
  let last = build;
  for (let losses = 1; ; losses += 1) {
    await expireAll();
    await rescueBuilds(stack.orchestrator, 'expired');
    if (losses === 10) return last;
    expect(await statusOf(build)).toBe('PENDING');
    last = await claimByHand(stack, workerId);
  }
}

test('an intended push is looked for by ten workers; then the build says that the commit may be there', async () => {
  const build = await startClaimed();
  expect(await openPostgresLedger(stack.orchestrator, build).recordPushIntent(COMMIT, null)).toBe(true);
  const last = await loseTenWorkers(build);
  const ended = await findBuild(stack.orchestrator.db, build.id);
  expect(ended).toMatchObject({ status: 'FAILED', attemptNo: 10, result: { publication: 'NONE', commitSha: null } });
  expect(ended?.failure).toMatchObject({ reason: 'GIT_PUSH_FAILED', message: expect.stringContaining('may be on') });
  expect(ended?.failure?.message).toContain(COMMIT.sha);
  expect(await outcomeOf(last)).toBe('LOST');
});

test('a push that was proved stays one when the workers die of what comes after it', async () => {
  const build = await startClaimed();
  const ledger = openPostgresLedger(stack.orchestrator, build);
  await ledger.recordPushIntent(COMMIT, null);
  await ledger.write({ pushedSha: COMMIT.sha });
  await loseTenWorkers(build);
  const ended = await findBuild(stack.orchestrator.db, build.id);
  expect(ended?.failure?.reason).toBe('WORKER_LOST');
  expect(ended?.result).toMatchObject({ publication: 'PUSHED', commitSha: COMMIT.sha });
});

/** Who comes next in the place of the worker that died. */
async function nextWorker(more: Partial<Heir> = {}): Promise<Heir> {
  return { ...claimer(await registerByHand(stack)), places: 9, ...more };
}

const attemptsOf = ({ id }: ClaimedBuild) =>
  stack.orchestrator.db
    .selectFrom('build_attempts')
    .select(['attempt_no', 'worker_id', 'outcome'])
    .where('build_id', '=', id)
    .orderBy('attempt_no')
    .execute();

const placesOf = async (builds: readonly ClaimedBuild[]) => {
  const ids = builds.map(({ id }) => id);
  const { rows } = await sql<{ id: string; worker_id: string }>`
    select id, worker_id from queue_items where id = any(${ids}::uuid[]) and claimed_at is not null`.execute(
    stack.orchestrator.db,
  );
  return ids.map((id) => rows.find((row) => row.id === id)?.worker_id ?? null);
};

test('who comes next in the place of a dead worker inherits its builds: they are never in the queue', async () => {
  const builds = [await startClaimed(), await startClaimed()] as const;
  const earlier = openPostgresLedger(stack.orchestrator, builds[0]);
  await earlier.write({ events: [{ type: 'PROGRESS', data: { message: 'alive' } }] });
  const heir = await nextWorker();
  const inherited = await inheritBuilds(stack.orchestrator, [workerId], heir);
  expect(inherited.map(({ id }) => id).sort()).toEqual(builds.map(({ id }) => id).sort());
  for (const build of inherited) {
    expect(build).toMatchObject({ status: 'RUNNING', phase: 'PREPARING', attemptNo: 2, workerId: heir.workerId });
    expect(await attemptsOf(build)).toEqual([
      { attempt_no: 1, worker_id: workerId, outcome: 'LOST' },
      { attempt_no: 2, worker_id: heir.workerId, outcome: null },
    ]);
  }
  expect(await placesOf(builds)).toEqual([heir.workerId, heir.workerId]);
  const events = await readEvents(stack.orchestrator.db, { buildId: builds[0].id, after: 0, limit: 100 });
  expect(events.slice(-4).map(({ type, attemptNo }) => `${type} ${attemptNo}`)).toEqual([
    ...['PROGRESS 1', 'RETRY_SCHEDULED 1', 'STARTED 2', 'PHASE_CHANGED 2'],
  ]);
  const line = { stream: 'stdout', text: 'late' } as const;
  await expect(earlier.write({ lines: [line] })).rejects.toThrow(SupersededError);
  const [first] = inherited;
  if (first) await openPostgresLedger(stack.orchestrator, first).write({ lines: [line] });
  // The answer was lost, and is asked for again.
  expect(await inheritBuilds(stack.orchestrator, [workerId], heir)).toHaveLength(2);
  expect((await sql`select queue_check()`.execute(stack.orchestrator.db)).rows).toEqual([]);
});

test.each([
  ['has no place left', () => nextWorker({ places: 1 }), 1],
  ['lacks a label', () => nextWorker({ labels: [] }), 0],
  ['works for other projects', () => nextWorker({ projectIds: [crypto.randomUUID()] }), 0],
  [
    'is cordoned',
    async () => {
      const heir = await nextWorker();
      await cordonWorker(stack.orchestrator, heir.workerId, 'test');
      return heir;
    },
    0,
  ],
])('what a worker that %s cannot take goes back to the queue', async (_why, next, taken) => {
  const builds = [await startClaimed(), await startClaimed()];
  const inherited = await inheritBuilds(stack.orchestrator, [workerId], await next());
  expect(inherited).toHaveLength(taken);
  const expected = builds.map(({ id }) => (inherited.some((build) => build.id === id) ? 'RUNNING' : 'PENDING'));
  expect(await Promise.all(builds.map(statusOf))).toEqual(expected);
  expect((await placesOf(builds)).filter(Boolean)).toHaveLength(taken);
});

test('an heir that dies before it begins is rescued from by its lease, and its attempt counts as lost', async () => {
  const build = await startClaimed();
  await inheritBuilds(stack.orchestrator, [workerId], await nextWorker());
  await expireAll();
  await rescueBuilds(stack.orchestrator, 'expired');
  expect((await findBuild(stack.orchestrator.db, build.id))?.failure).toMatchObject({ reason: 'WORKER_LOST' });
});
