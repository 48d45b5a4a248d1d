/** A rolling restart of all workers under load: two beside the database, and one that reaches only the API. */
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { sql } from 'kysely';
import { afterEach, expect, test } from 'vitest';
import { startBuild } from '../../src/builds/start-build.ts';
import { type SlipwayProcess, startSlipway } from '../cli/slipway-process.ts';
import { commitAsPerson } from '../git/sandbox.ts';
import { startGitServer } from '../support/git-server.ts';
import { makeWorkToken, openRemoteHarness } from '../support/remote.ts';
import { script } from '../support/script.ts';
import { enqueueRun, finishedTask } from '../support/task-runs.ts';
import { waitFor } from '../support/wait-for.ts';
import { judgeQueue } from './judge-queue.ts';
import { watchQueue } from './queue-watch.ts';
import { openScene, type Scene } from './stranded-builds.ts';

const run = promisify(execFile);
const PROJECTS = 3;
const BUILDS = 12;
const TASKS = 6;
const ROUNDS = 2;
const CAPACITY = 2;
/** Of a project, at the same time. */
const LIMIT = 3;

let opened = new AsyncDisposableStack();

afterEach(async () => {
  await opened.disposeAsync();
  opened = new AsyncDisposableStack();
});

/** Starts a worker that keeps its folder over restarts, and waits until it works. */
async function startWork(args: readonly string[], environment: Record<string, string>): Promise<SlipwayProcess> {
  const worker = startSlipway(['work', '--json', ...args], {
    ...environment,
    SLIPWAY_SANDBOX: 'none',
    SLIPWAY_LOCAL_REPOSITORIES: 'true',
    SLIPWAY_DRAIN_SECONDS: '1',
    SLIPWAY_WORKER_CAPACITY: String(CAPACITY),
  });
  opened.defer(async () => {
    worker.child.kill('SIGKILL');
    await worker.ended;
  });
  await waitFor(() => worker.stdout.includes('\n'), { deadlineMs: 40_000, what: 'a worker' });
  return worker;
}

/** How each of the workers is started. */
async function openWorkers({ stack, environment, newHost }: Scene) {
  const { url } = opened.use(await openRemoteHarness(stack));
  const far = await newHost();
  await writeFile(join(far, 'token'), `${await makeWorkToken(stack)}\n`, { mode: 0o600 });
  const near = { ...environment, SLIPWAY_DATABASE_URL: stack.databaseUrl };
  const hosts = [await newHost(), await newHost()];
  return [
    ...hosts.map((host) => () => startWork([], { ...near, SLIPWAY_DATA: host })),
    () =>
      startWork(['--server', url, '--token-file', join(far, 'token'), '--data', far], { SLIPWAY_LOG_LEVEL: 'error' }),
  ];
}

/** Projects with builds, of which each pushes a branch of its own, and tests of what was there before. */
async function putLoad({ stack, newHost }: Scene) {
  const git = opened.use(await startGitServer());
  const runs = join(await newHost(), 'runs');
  const builds: { readonly id: string; readonly path: string; readonly branch: string }[] = [];
  const tasks: string[] = [];
  for (let place = 0; place < PROJECTS; place += 1) {
    const { url, path } = await git.createRepository(`app-${place}`);
    await commitAsPerson(path, { 'a.txt': 'a' });
    const project = await stack.createProject({ repositoryUrl: url });
    await sql`select queue_configure(${project.id}, 1, ${LIMIT}, 1)`.execute(stack.orchestrator.db);
    for (let number = 0; number < BUILDS; number += 1) {
      const branch = `b-${number}`;
      const wait = { run: `echo $SLIPWAY_BUILD_ID >>${runs}; for i in 1 2 3 4 5 6; do echo at $i; sleep 0.5; done` };
      const spec = { prompt: script(wait, { write: { path: 'made.txt', content: branch } }), branch };
      const { build } = await startBuild(stack.orchestrator, { projectId: project.id, spec }, 'test');
      builds.push({ id: build.id, path, branch });
    }
    for (let number = 0; number < TASKS; number += 1) {
      const payload = { command: ['sh', '-c', 'sleep 1'] };
      tasks.push(await enqueueRun(stack, project, { type: 'test', payload, retry: { maxAttempts: 1 } }));
    }
  }
  return { builds, tasks, runs };
}

test('a rolling restart of all workers under load loses nothing', {
  timeout: 400_000,
}, async () => {
  const scene = opened.use(await openScene());
  const { stack } = scene;
  const { db } = stack.orchestrator;
  await watchQueue(db);
  const { builds, tasks, runs } = await putLoad(scene);
  const starts = await openWorkers(scene);
  const workers = await Promise.all(starts.map((start) => start()));
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [place, start] of starts.entries()) {
      workers[place]?.child.kill('SIGTERM');
      expect(await workers[place]?.ended).toBe(0);
      workers[place] = await start();
    }
  }
  for (const { id } of builds) {
    expect(await stack.finished(id, 200_000)).toMatchObject({ status: 'COMPLETED', result: { publication: 'PUSHED' } });
  }
  for (const id of tasks) expect(await finishedTask(stack, id)).toMatchObject({ status: 'COMPLETED', failures: 0 });
  for (const { path, branch } of builds) {
    const { stdout } = await run('git', ['-C', path, 'rev-list', '--count', `main..${branch}`]);
    expect(stdout.trim(), branch).toBe('1');
  }
  const { violations, claims } = await judgeQueue(db);
  expect(violations).toEqual([]);
  const goneOn = await db.selectFrom('build_audit').select('id').where('attempt_no', '>', 1).execute();
  expect(goneOn.length).toBeGreaterThan(ROUNDS);
  const begun = (await readFile(runs, 'utf8')).trim().split('\n').sort();
  expect(begun).toEqual(builds.map(({ id }) => id).sort());
  console.log(
    `${ROUNDS * workers.length} restarts: ${builds.length} builds, ${goneOn.length} of them gone on with; ${claims} claims`,
  );
});
