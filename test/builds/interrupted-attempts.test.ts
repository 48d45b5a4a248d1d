/** Attempts that meet each other, a slow database, a flood of output, or a remote that others use too. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { sql } from 'kysely';
import pg from 'pg';
import { v7 } from 'uuid';
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest';
import { type Build, findBuild } from '../../src/builds/build.ts';
import { cancelBuild } from '../../src/builds/cancel-build.ts';
import { claimBuilds, giveBack, heartbeat } from '../../src/builds/claim-builds.ts';
import { openPostgresLedger } from '../../src/builds/postgres-ledger.ts';
import { rescueBuilds } from '../../src/builds/rescue-builds.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { readEvents } from '../../src/events/read-events.ts';
import { managedRepositoryPath } from '../../src/projects/repository.ts';
import { armFailpoints } from '../../src/std/failpoint.ts';
import { claimer } from '../support/claim.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';
import { waitFor } from '../support/wait-for.ts';

let stack: TestStack;

beforeEach(async () => {
  stack = await openTestStack();
});

afterEach(async () => {
  await stack[Symbol.asyncDispose]();
});

async function start(prompt: string, spec: object = {}, settings: object = {}): Promise<Build> {
  const project = await stack.createProject({ settings });
  const { build } = await startBuild(stack.orchestrator, { projectId: project.id, spec: { prompt, ...spec } }, 'test');
  return build;
}

const eventsOf = (build: Build) => readEvents(stack.orchestrator.db, { buildId: build.id, after: 0, limit: 5_000 });
const typesOf = async (build: Build) => (await eventsOf(build)).map((event) => event.type);
const started = (build: Build) => waitFor(async () => (await typesOf(build)).includes('AGENT_ACTIVITY'));

/** The id of a worker that has a row and does nothing. */
async function idleWorker(): Promise<string> {
  const id = v7();
  const row = { id, name: 'idle', host: 'test', process: '0', version: '0', capacity: 9 };
  await stack.orchestrator.db.insertInto('workers').values(row).execute();
  return id;
}

async function claimByHand(limit = 1) {
  const workerId = await idleWorker();
  const claimed = await claimBuilds(stack.orchestrator, claimer(workerId), limit);
  const ledgers = claimed.map((build) => openPostgresLedger(stack.orchestrator, build));
  return { workerId, claimed, ledgers };
}

/** Its attempt expires and is rescued; where a heartbeat comes in between, once more. */
async function lose({ id }: Build): Promise<void> {
  const { db } = stack.orchestrator;
  const attempt = (await findBuild(db, id))?.attemptNo;
  await waitFor(async () => {
    await sql`update build_audit set lease_until = now() - interval '1 minute'
      where id = ${id} and attempt_no = ${attempt} and status = 'RUNNING'`.execute(db);
    await rescueBuilds(stack.orchestrator, 'expired');
    const now = await findBuild(db, id);
    return now?.attemptNo !== attempt || now?.status !== 'RUNNING';
  });
}

/** Holds the build's row, or that of all claims, while `work` runs. */
async function whileLocked<T>(what: Build | 'claims', work: () => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: stack.databaseUrl });
  await client.connect();
  try {
    await client.query('begin');
    if (what === 'claims') await client.query('select 1 from queue_state for update');
    else await client.query('select 1 from build_audit where id = $1 for update', [what.id]);
    return await work();
  } finally {
    await client.query('rollback');
    await client.end();
  }
}

test('a write that the database refuses does not silence the attempt', async () => {
  const build = await start(script({ print: 'x' }));
  const { ledgers } = await claimByHand();
  const ledger = ledgers[0];
  const name = randomBytes(4_000).toString('hex');
  const content = async function* () {
    yield Buffer.from('x');
  };
  await expect(ledger?.keepArtifact({ name, contentType: 'x' }, content)).rejects.toThrow('index row');
  await ledger?.write({ events: [{ type: 'PROGRESS', data: { message: 'still here' } }] });
  await ledger?.finish({ status: 'COMPLETED', result: {} });
  expect(await findBuild(stack.orchestrator.db, build.id)).toMatchObject({ status: 'COMPLETED' });
});

test('a worker that is given its own lost build again goes on with it', async () => {
  const gate = join(stack.dataFolder, 'gate');
  const worker = await stack.openWorker();
  const wait = { run: `echo up; while [ ! -e ${gate} ]; do sleep 0.05; done` };
  const build = await start(script({ print: 'up' }, wait, { write: { path: 'a', content: 'a' } }));
  await started(build);
  await lose(build);
  await waitFor(async () => (await findBuild(stack.orchestrator.db, build.id))?.attemptNo === 2);
  await promisify(execFile)('touch', [gate]);
  expect(await stack.finished(build.id)).toMatchObject({ status: 'COMPLETED', attemptNo: 2 });
  await waitFor(() => worker.running === 0);
  expect((await typesOf(build)).filter((type) => type === 'AGENT_STARTED')).toHaveLength(1);
});

test('a claim that is on its way when a drain begins is waited for and put back', async () => {
  const build = await start(script({ run: 'sleep 60' }));
  const worker = await whileLocked('claims', async () => {
    const opened = await stack.openWorker();
    const waiting = sql<{ n: number }>`select count(*)::int as n from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock'`;
    await waitFor(async () => (await waiting.execute(stack.orchestrator.db)).rows[0]?.n);
    void opened.drain(0);
    return opened;
  });
  await worker.drain(0);
  expect(worker.running).toBe(0);
  expect(await findBuild(stack.orchestrator.db, build.id)).toMatchObject({ status: 'PENDING', phase: 'QUEUED' });
});

test('one slow row costs no other build its lease', async () => {
  const builds = await Promise.all(Array.from({ length: 3 }, () => start(script({ print: 'x' }))));
  const { workerId, claimed } = await claimByHand(3);
  const attempts = claimed.map(({ id, attemptNo }) => ({ buildId: id, attemptNo }));
  const { db } = stack.orchestrator;
  await sql`update build_audit set lease_until = now() - interval '1 minute'`.execute(db);
  const [slow] = builds;
  if (!slow) throw new Error('no build');
  const answer = await whileLocked(slow, () => heartbeat({ db }, { workerId, attempts }));
  expect(answer.owned.size).toBe(3);
  const expired = await sql<{ id: string }>`select id from build_audit where lease_until < now()`.execute(db);
  expect(expired.rows.map((row) => row.id)).toEqual([slow.id]);
});

test('a claim whose answer was lost is given back without a penalty', async () => {
  const build = await start(script({ write: { path: 'a', content: 'a' } }));
  const { workerId } = await claimByHand();
  const { unknown } = await heartbeat(stack.orchestrator, { workerId, attempts: [] });
  expect(unknown).toEqual([{ buildId: build.id, attemptNo: 1 }]);
  for (const attempt of [...unknown, ...unknown]) await giveBack(stack.orchestrator, workerId, attempt);
  const row = await stack.orchestrator.db
    .selectFrom('build_audit')
    .select(['status', 'lost_attempts'])
    .where('id', '=', build.id)
    .executeTakeFirst();
  expect(row).toEqual({ status: 'PENDING', lost_attempts: 0 });
  await stack.openWorker();
  expect(await stack.finished(build.id)).toMatchObject({ status: 'COMPLETED', attemptNo: 2 });
});

test('silence counts only while somebody listens', async () => {
  await stack.openWorker();
  const chatter = { run: 'for i in $(seq 1 40); do echo $i; sleep 0.1; done' };
  const build = await start(script({ print: 'up' }, chatter), { autoCommit: false, limits: { silenceSeconds: 1 } });
  await started(build);
  await whileLocked(build, async () => {
    const lockedAt = performance.now();
    await waitFor(() => performance.now() - lockedAt > 2_500);
  });
  expect(await stack.finished(build.id)).toMatchObject({ status: 'COMPLETED' });
});

test('a flood of output holds up neither a cancel nor the limit of what a build may print', async () => {
  await stack.openWorker();
  const flood = script({ print: 'up' }, { run: 'exec yes "$(head -c 2000 /dev/zero | tr \'\\0\' x)"' });
  const [cancelled, limited] = [await start(flood), await start(flood)];
  await started(cancelled);
  const spool = join(stack.dataFolder, 'builds', cancelled.id, 'run/stdout');
  await waitFor(async () => (await stat(spool).catch(() => null))?.size ?? 0 > 1_000_000);
  const asked = performance.now();
  await cancelBuild(stack.orchestrator, { id: cancelled.id }, 'test');
  expect(await stack.finished(cancelled.id)).toMatchObject({ status: 'CANCELLED' });
  console.log(`cancelled in ${Math.round(performance.now() - asked)} ms in the middle of a flood`);
  expect((await stack.finished(limited.id, 25_000)).failure).toMatchObject({ reason: 'OUTPUT_TOO_LARGE' });
});

test('a build that is cancelled while its files are collected is cancelled, and no more of them are kept', async () => {
  armFailpoints([{ point: 'collect.begin', fault: { kind: 'delay', milliseconds: 1_500 }, pass: 1 }]);
  onTestFinished(() => armFailpoints([]));
  await stack.openWorker();
  const files = ['a.txt', 'b.txt'].map((path) => ({ write: { path, content: path } }));
  const build = await start(script(...files), { autoCommit: false }, { artifacts: ['*.txt'] });
  await waitFor(async () => (await findBuild(stack.orchestrator.db, build.id))?.phase === 'COLLECTING');
  await cancelBuild(stack.orchestrator, { id: build.id }, 'test');
  expect(await stack.finished(build.id)).toMatchObject({ status: 'CANCELLED' });
  expect((await typesOf(build)).filter((type) => type === 'ARTIFACT_CREATED').length).toBeLessThan(files.length);
});

test('a commit that was proved to be on the remote is not pushed again, whatever became of the branch', async () => {
  const build = await start(script({ print: 'x' }), { branch: 'topic' });
  const { ledgers } = await claimByHand();
  const [ledger] = ledgers;
  const sha = 'a'.repeat(40);
  const commit = { sha, branch: 'topic', expected: null, filesChanged: [] };
  expect(await ledger?.recordPushIntent(commit, null)).toBe(true);
  await ledger?.write({ pushedSha: sha, checkpoint: { pushProved: true }, phase: 'COLLECTING' });
  await lose(build);
  await stack.openWorker();
  const ended = await stack.finished(build.id);
  expect(ended).toMatchObject({ status: 'COMPLETED', result: { publication: 'PUSHED', commitSha: sha } });
  const gitDir = managedRepositoryPath(stack.orchestrator.config, build.projectId);
  const { stdout } = await promisify(execFile)('git', ['--git-dir', gitDir, 'for-each-ref']);
  expect(stdout).toBe('');
});

test('a hail of events is cut to the budget, and said so; the log has it all', async () => {
  await stack.openWorker();
  const line = JSON.stringify({ type: 'activity', content: { kind: 'message', text: 'hail' } });
  const hail = `i=0; while [ $i -lt 5000 ]; do echo '${line}'; i=$((i+1)); done`;
  const build = await start(script({ run: hail }), { autoCommit: false });
  const ended = await stack.finished(build.id);
  expect(ended.lastLine).toBeGreaterThan(5_000);
  const events = await eventsOf(build);
  expect(events.length).toBeLessThan(2_200);
  expect(events.some(({ data }) => JSON.stringify(data).includes('in the log only'))).toBe(true);
});
