/** `slipway work --server` as a process of its own, on a network that falls silent, and killed. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { findArtifacts } from '../../src/artifacts/artifact.ts';
import type { Build } from '../../src/builds/build.ts';
import { readLog } from '../../src/builds/build-log.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { readEvents } from '../../src/events/read-events.ts';
import { rescueTasks } from '../../src/tasks/rescue-tasks.ts';
import { startSlipway } from '../cli/slipway-process.ts';
import { commitAsPerson } from '../git/sandbox.ts';
import { type GitServer, startGitServer } from '../support/git-server.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { makeWorkToken, openRemoteHarness } from '../support/remote.ts';
import { script } from '../support/script.ts';
import { enqueueRun, finishedTask } from '../support/task-runs.ts';
import { waitFor } from '../support/wait-for.ts';

/** The git server of these tests is on this machine. */
const FAR_MACHINE = { SLIPWAY_SANDBOX: 'none', SLIPWAY_LOG_LEVEL: 'warn', SLIPWAY_LOCAL_REPOSITORIES: 'true' };

let opened = new AsyncDisposableStack();

afterEach(async () => {
  await opened.disposeAsync();
  opened = new AsyncDisposableStack();
});

async function openWorld(environment: Record<string, string> = {}) {
  const stack = opened.use(await openTestStack(environment));
  const harness = opened.use(await openRemoteHarness(stack));
  const git = opened.use(await startGitServer());
  const folder = await mkdtemp(join(tmpdir(), 'slipway-far-'));
  opened.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  const tokenFile = join(folder, 'token');
  await writeFile(tokenFile, `${await makeWorkToken(stack)}\n`, { mode: 0o600 });
  const startWorker = async (data = 'data', environment: Record<string, string> = {}) => {
    const args = ['work', '--json', '--server', harness.url, '--token-file', tokenFile, '--data', join(folder, data)];
    const worker = startSlipway(args, { ...FAR_MACHINE, ...environment });
    opened.defer(async () => {
      worker.child.kill('SIGKILL');
      await worker.ended;
    });
    await waitFor(() => worker.stdout.includes('\n'), { deadlineMs: 40_000, what: 'the remote worker' });
    return worker;
  };
  return { stack, harness, git, folder, startWorker };
}

async function startGated(stack: TestStack, git: GitServer, folder: string) {
  const [gate, runs] = [join(folder, 'gate'), join(folder, 'runs')];
  const { url } = await git.createRepository('far');
  const project = await stack.createProject({ repositoryUrl: url, settings: { artifacts: ['*.txt'] } });
  const wait = { run: `echo run >> ${runs}; while [ ! -e ${gate} ]; do sleep 0.1; done; echo made > made.txt` };
  const spec = { prompt: script({ print: 'up' }, wait, { print: 'end' }), callbackUrl: 'http://127.0.0.1:9/hook' };
  const { build } = await startBuild(stack.orchestrator, { projectId: project.id, spec }, 'test');
  const openGate = () => writeFile(gate, '');
  const runCount = async () => (await readFile(runs, 'utf8').catch(() => '')).split('\n').filter(Boolean).length;
  await waitFor(async () => (await runCount()) === 1, { deadlineMs: 40_000, what: 'the agent' });
  return { build, openGate, runCount };
}

/** A task of the type `test`, once it runs: its command waits for a gate of its own. */
async function startGatedTask(stack: TestStack, git: GitServer, folder: string) {
  const [gate, runs] = [join(folder, 'task-gate'), join(folder, 'task-runs')];
  const repository = await git.createRepository('tested');
  await commitAsPerson(repository.path, { 'a.txt': 'a' });
  const project = await stack.createProject({ repositoryUrl: repository.url });
  const script = `echo run >> ${runs}; while [ ! -e ${gate} ]; do sleep 0.1; done; echo the end`;
  const payload = { command: ['sh', '-c', script] };
  const rule = { leaseSeconds: 5, retry: { backoffSeconds: 0 } };
  const id = await enqueueRun(stack, project, { type: 'test', payload, ...rule });
  const runCount = async () => (await readFile(runs, 'utf8').catch(() => '')).split('\n').filter(Boolean).length;
  await waitFor(async () => (await runCount()) === 1, { deadlineMs: 40_000, what: 'the test command' });
  return { id, runCount, openGate: () => writeFile(gate, '') };
}

const endsOf = async ({ orchestrator: { db } }: TestStack, id: string) =>
  db.selectFrom('task_events').select('seq').where('task_id', '=', id).where('type', '=', 'FINISHED').execute();

async function expectWhole(stack: TestStack, build: Build): Promise<void> {
  const { db } = stack.orchestrator;
  const events = await readEvents(db, { buildId: build.id, after: 0, limit: 1_000 });
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
  for (const type of ['GIT_COMMITTED', 'GIT_PUSHED', 'ARTIFACT_CREATED', 'FINISHED'] as const) {
    expect(events.filter((event) => event.type === type).length, type).toBe(1);
  }
  expect(await findArtifacts(db, [build.id])).toMatchObject([{ name: 'made.txt', sizeBytes: 5 }]);
  const log = await readLog(db, { buildId: build.id, after: 0, limit: 100 });
  expect(log.flatMap(({ lines }) => lines).length).toBeGreaterThan(2);
  const deliveries = await db.selectFrom('deliveries').select('kind').where('build_id', '=', build.id).execute();
  expect(deliveries).toEqual([{ kind: 'build.finished' }]);
}

test('a minute of silence loses and repeats nothing: one attempt, one run of agent and tests, one commit', {
  timeout: 180_000,
}, async () => {
  const { stack, harness, git, folder, startWorker } = await openWorld();
  // Who would give its build to others, if its lease ran out.
  const far = await startWorker('data', { SLIPWAY_WORKER_PORT: '0' });
  const { healthUrl } = JSON.parse(far.stdout) as { healthUrl: string };
  const health = async () => {
    const response = await fetch(`${healthUrl}/readyz`);
    return [response.status, ((await response.json()) as { check?: string }).check];
  };
  const { build, openGate, runCount } = await startGated(stack, git, folder);
  const task = await startGatedTask(stack, git, folder);
  expect(await health()).toEqual([200, undefined]);
  await stack.openWorker(1);
  harness.proxy.disturb({ kind: 'silence' });
  await openGate();
  await delay(60_000);
  expect(await health()).toEqual([503, 'server']);
  await rescueTasks(stack.orchestrator);
  await task.openGate();
  harness.proxy.disturb({ kind: 'refuse' });
  harness.proxy.disturb(null);
  const ended = await stack.finished(build.id, 60_000);
  expect(ended).toMatchObject({ status: 'COMPLETED', attemptNo: 1, result: { publication: 'PUSHED' } });
  expect(await runCount()).toBe(1);
  await expectWhole(stack, ended);
  const tested = await finishedTask(stack, task.id);
  expect(tested).toMatchObject({ status: 'COMPLETED', attemptNo: 1, failures: 0, result: { output: 'the end' } });
  expect([await task.runCount(), (await endsOf(stack, task.id)).length]).toEqual([1, 1]);
  await waitFor(async () => (await health())[0] === 200, { what: 'the worker, ready again' });
});

test('of a remote worker that is killed in the middle of a test task another one completes it, once', {
  timeout: 120_000,
}, async () => {
  const { stack, git, folder, startWorker } = await openWorld({ SLIPWAY_REMOTE_LEASE_SECONDS: '15' });
  const first = await startWorker('first');
  const { id, runCount, openGate } = await startGatedTask(stack, git, folder);
  first.child.kill('SIGKILL');
  await first.ended;
  await startWorker('second');
  const isRunAgain = async () => {
    await rescueTasks(stack.orchestrator);
    return (await runCount()) === 2;
  };
  await waitFor(isRunAgain, { deadlineMs: 60_000, everyMs: 200, what: 'the other worker' });
  await openGate();
  expect(await finishedTask(stack, id)).toMatchObject({ status: 'COMPLETED', attemptNo: 2, failures: 1 });
  expect([await runCount(), (await endsOf(stack, id)).length]).toEqual([2, 1]);
});

test('a remote worker that is killed is replaced by one beside the database', { timeout: 120_000 }, async () => {
  const { stack, git, folder, startWorker } = await openWorld({ SLIPWAY_REMOTE_LEASE_SECONDS: '15' });
  const worker = await startWorker();
  const { build, openGate, runCount } = await startGated(stack, git, folder);
  await openGate();
  worker.child.kill('SIGKILL');
  await stack.openWorker(1);
  const ended = await stack.finished(build.id, 60_000);
  expect(ended).toMatchObject({ status: 'COMPLETED', attemptNo: 2 });
  expect(await runCount()).toBe(2);
  await expectWhole(stack, ended);
});

test('one that starts again on its machine goes on at once, with the agent that it left', {
  timeout: 120_000,
}, async () => {
  const { stack, git, folder, startWorker } = await openWorld();
  const worker = await startWorker();
  const { build, openGate, runCount } = await startGated(stack, git, folder);
  worker.child.kill('SIGKILL');
  await worker.ended;
  await startWorker();
  await openGate();
  const ended = await stack.finished(build.id, 40_000);
  expect(ended).toMatchObject({ status: 'COMPLETED', attemptNo: 2 });
  expect(await runCount()).toBe(1);
  await expectWhole(stack, ended);
});

test('SIGTERM ends it in order', { timeout: 120_000 }, async () => {
  const { stack, git, folder, startWorker } = await openWorld();
  const worker = await startWorker();
  const { build, openGate } = await startGated(stack, git, folder);
  await openGate();
  await stack.finished(build.id, 40_000);
  worker.child.kill('SIGTERM');
  expect(await worker.ended).toBe(0);
  const { db } = stack.orchestrator;
  const rows = await db.selectFrom('workers').select('stopped_at').where('token_id', 'is not', null).execute();
  expect(rows.filter(({ stopped_at: at }) => at !== null)).toHaveLength(1);
});
