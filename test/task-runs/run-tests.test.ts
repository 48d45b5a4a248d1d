/** Tasks of the type `test`, as workers run them beside the database and over the API. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Project } from '../../src/projects/project.ts';
import { cancelTask } from '../../src/tasks/change-task.ts';
import { findTask } from '../../src/tasks/task.ts';
import type { EnqueueTaskInput } from '../../src/tasks/task-input.ts';
import { commitAsPerson } from '../git/sandbox.ts';
import { type GitServer, type GitServerRepository, startGitServer } from '../support/git-server.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { WORKER_PLACES, type WorkerPlaces } from '../support/remote.ts';
import { enqueueRun, exists, finishedTask, HANGS, isAlive, pidOf, workspaceOf } from '../support/task-runs.ts';
import { waitFor } from '../support/wait-for.ts';

const PASSWORD = 'a secret of git';

let stack: TestStack;
let server: GitServer;
let repository: GitServerRepository;
let project: Project;
let first: string;

beforeAll(async () => {
  server = await startGitServer({ password: PASSWORD });
  repository = await server.createRepository('app');
  first = await commitAsPerson(repository.path, {
    'run.sh':
      'cat result.xml >report.xml; echo "ran at $SLIPWAY_COMMIT"; env >env.txt; cat env.txt; exit $(cat code)\n',
    'result.xml': '<testsuite name="s"><testcase name="a" time="0.5"/><testcase name="b"/></testsuite>',
    code: '0\n',
  });
  await commitAsPerson(repository.path, {
    'result.xml':
      '<testsuite name="s"><testcase name="a"/><testcase name="b"><failure message="no"/></testcase></testsuite>',
    code: '1\n',
  });
  stack = await openTestStack();
  project = await stack.createProject({
    repositoryUrl: repository.url,
    gitCredentials: { username: 'bot', password: PASSWORD },
    settings: { testCommand: ['sh', 'run.sh'], testReport: 'report.xml' },
  });
});
afterAll(async () => {
  await stack[Symbol.asyncDispose]();
  await server.close();
});

const enqueue = (payload: object, more: Partial<EnqueueTaskInput> = {}) =>
  enqueueRun(stack, project, { type: 'test', payload, ...more });
const find = (id: string) => findTask(stack.orchestrator.db, id);
const finished = (id: string) => finishedTask(stack, id);

test('a payload that nobody could run is refused at once', async () => {
  await expect(enqueue({ command: [] })).rejects.toThrow('payload.command');
  await expect(enqueue({ commit: 'main' })).rejects.toThrow('payload.commit');
  await expect(enqueue({ commit: first, branch: 'main' })).rejects.toThrow('either a commit or a branch');
  await expect(enqueue({ environment: { LD_PRELOAD: 'x' } })).rejects.toThrow('payload.environment');
});

describe.each(WORKER_PLACES)('a worker %s', (_where, openPlaces) => {
  let places: WorkerPlaces;

  beforeAll(async () => {
    places = await openPlaces(stack);
  });
  afterAll(() => places[Symbol.asyncDispose]());

  test('a test command runs at the commit that is asked for, without credentials, and its report is the result', async () => {
    await using place = await places.openWorker(2);
    const [passing, failing] = await Promise.all([
      enqueue({ commit: first, environment: { COLOUR: 'blue' } }),
      enqueue({ branch: 'main' }),
    ]);
    const passed = await finished(passing);
    const claimedBy = expect.stringMatching(/^worker\/(test|remote)$/);
    expect(passed).toMatchObject({ status: 'COMPLETED', failure: null, attemptNo: 1, claimedBy });
    expect(passed.result).toMatchObject({
      exitCode: 0,
      commit: first,
      report: { total: 2, passed: 2, failed: 0, durationMs: 500, failures: [] },
    });
    expect(passed.result.output).toContain(`ran at ${first}\n`);
    expect(passed.result.output).toContain('COLOUR=blue');
    expect(JSON.stringify(passed.result)).not.toContain(PASSWORD);
    const failed = await finished(failing);
    expect(failed).toMatchObject({
      status: 'FAILED',
      failures: 1,
      failure: { reason: 'TESTS_FAILED: 1 of 2 tests failed, first s > b.', retryable: false },
    });
    expect(failed.result).toMatchObject({
      exitCode: 1,
      report: { failed: 1, failures: [{ name: 'b', message: 'no' }] },
    });
    expect(await exists(workspaceOf(place, passing))).toBe(false);
  });

  test.each<[string, object, string | null, object]>([
    [
      'TAP on stdout is a report',
      { command: ['printf', '1..2\\nok 1\\nok 2\\n'], reportFormat: 'TAP' },
      null,
      { report: { passed: 2 } },
    ],
    ['a command that is not there', { command: ['no-such-program'] }, 'COMMAND_FAILED', { exitCode: 127 }],
    ['a report that is not there', { command: ['true'] }, 'REPORT_UNREADABLE: There is no report', { report: null }],
    [
      'a command without an end',
      { command: ['sh', '-c', 'echo begun; sleep 60 & wait'], timeoutSeconds: 1 },
      'TIMEOUT',
      { output: 'begun' },
    ],
    ['a commit that is not there', { commit: 'a'.repeat(40) }, 'GIT_CLONE_FAILED', {}],
    ['a branch that is not there', { branch: 'nowhere' }, 'GIT_CLONE_FAILED', {}],
  ])('ends as it should: %s', async (_what, payload, reason, result) => {
    await using _place = await places.openWorker(1);
    // The project's report is asked for unless the task says otherwise.
    const { settings } = project;
    const own = 'reportFormat' in payload;
    if (own)
      await stack.orchestrator.db
        .updateTable('projects')
        .set({ settings: JSON.stringify({ ...settings, testReport: null }) })
        .where('id', '=', project.id)
        .execute();
    const task = await finished(await enqueue(payload));
    if (own)
      await stack.orchestrator.db
        .updateTable('projects')
        .set({ settings: JSON.stringify(settings) })
        .where('id', '=', project.id)
        .execute();
    if (reason === null) expect(task.failure).toBeNull();
    else expect(task.failure).toMatchObject({ reason: expect.stringContaining(reason), retryable: false });
    if (Object.keys(result).length > 0) expect(task.result).toMatchObject(result);
  });

  test('a remote that is away is tried again by another attempt', async () => {
    await using _place = await places.openWorker(1);
    server.mode = 'error';
    const id = await enqueue({ branch: 'main' }, { retry: { maxAttempts: 5, backoffSeconds: 0 } });
    try {
      await waitFor(async () => ((await find(id))?.failures ?? 0) > 0, { what: 'the first failure' });
      expect((await find(id))?.failure).toMatchObject({
        reason: expect.stringContaining('GIT_CLONE'),
        retryable: true,
      });
    } finally {
      server.mode = 'answer';
    }
    const task = await finished(id);
    expect(task.failure?.reason).toContain('TESTS_FAILED');
    expect(task.attemptNo).toBeGreaterThan(1);
  });

  test('a task that is cancelled is CANCELLED when nothing of it is alive', async () => {
    await using place = await places.openWorker(1);
    const id = await enqueue({ command: HANGS });
    const pid = await pidOf(place, id);
    await cancelTask(stack.orchestrator, { id, reason: 'enough' }, 'test');
    expect(await finished(id)).toMatchObject({ status: 'CANCELLED', cancelReason: 'enough' });
    expect(await isAlive(pid)).toBe(false);
    expect(await exists(workspaceOf(place, id))).toBe(false);
  });

  test('a drain gives the task back with nothing of it alive, and builds and tasks share the places', async () => {
    await using place = await places.openWorker(1);
    const [id, other] = [await enqueue({ command: HANGS }), await enqueue({ commit: first })];
    const pid = await pidOf(place, id);
    expect((await find(other))?.status).toBe('PENDING');
    await place.worker.drain(0);
    expect(await isAlive(pid)).toBe(false);
    expect(await find(id)).toMatchObject({ status: 'PENDING', failures: 0, attemptNo: 1 });
    expect((await find(other))?.status).toBe('PENDING');
    await cancelTask(stack.orchestrator, { id, reason: null }, 'test');
    await using _next = await places.openWorker(1);
    expect((await finished(other)).status).toBe('COMPLETED');
  });
});
