/** Tasks on the command line: enqueued, done by a program, watched. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openTestApi, type TestApi } from '../support/api.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { waitFor } from '../support/wait-for.ts';
import { runCommand, startCommand } from './run-command.ts';

let stack: TestStack;
let api: TestApi;
let environment: Record<string, string>;

beforeAll(async () => {
  stack = await openTestStack();
  api = await openTestApi(stack);
  const { PATH = '' } = process.env;
  environment = { SLIPWAY_URL: api.url, SLIPWAY_TOKEN: api.token, SLIPWAY_DATA: stack.dataFolder, PATH };
  await stack.createProject({ name: 'Boats' });
});

afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await stack[Symbol.asyncDispose]();
});

const slipway = (...args: readonly string[]) => runCommand(args, { environment });

async function json<T = unknown>(...args: readonly string[]): Promise<T> {
  const { exitCode, stdout, stderr } = await slipway(...args, '--json');
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  return JSON.parse(stdout) as T;
}

const enqueue = async (type: string, ...rest: readonly string[]) =>
  (await slipway('task', 'enqueue', type, '-p', 'boats', ...rest)).stdout.trim();
const work = (type: string, command: string, ...rest: readonly string[]) =>
  slipway('task', 'work', '--type', type, '--exec', command, '--name', 'w', '--once', ...rest);

test('a type is made, a task of it enqueued, done by a program, and shown', async () => {
  const schema = '{"type":"object","required":["n"]}';
  expect((await slipway('task-type', 'set', 'count', '-p', 'boats', '--schema', schema)).exitCode).toBe(0);
  const bad = await slipway('task', 'enqueue', 'count', '-p', 'boats', '--payload', '{}');
  expect([bad.exitCode, bad.stderr]).toEqual([
    1,
    expect.stringContaining("input.payload: must have required property 'n'"),
  ]);
  expect((await slipway('task', 'enqueue', 'count', '-p', 'boats', '--payload', 'n')).stderr).toContain('is not JSON');
  const id = await enqueue('count', '--payload', '{"n":20}', '-l', 'team=web', '--runs-on', 'gpu');
  expect((await work('count', 'cat')).stderr).toContain('There is no such task.');
  const program = `node -e 'process.stdin.on("data", (d) => console.log(JSON.stringify({ twice: JSON.parse(d).n * 2, token: process.env.SLIPWAY_TOKEN ?? null, id: process.env.SLIPWAY_TASK_ID })))'`;
  expect(await work('count', program, '-l', 'gpu')).toMatchObject({
    exitCode: 0,
    stdout: expect.stringMatching(/^task_\w+ {2}attempt 1 {2}COMPLETED\n$/),
  });
  const shown = { status: 'COMPLETED', result: { twice: 40, token: null, id }, claimedBy: 'test/w', runsOn: ['gpu'] };
  expect(await json('task', 'show', id)).toMatchObject(shown);
  expect((await slipway('task', 'show', id)).stdout).toContain('status      COMPLETED');
  expect(await json('task', 'list', '-p', 'boats', '-t', 'count', '-l', 'team=web')).toMatchObject([{ id }]);
  expect((await slipway('task', 'list', '-s', 'FAILED')).stderr).toContain('There are no such tasks.');
  expect((await slipway('task-type', 'list', '-p', 'boats')).stdout).toMatch(/count +boats/);
  expect((await slipway('task-type', 'delete', 'count', '-p', 'boats')).exitCode).toBe(0);
  const unknown = await slipway('task', 'enqueue', 'count', '-p', 'boats', '--payload', '{"n":1}');
  expect(unknown.stderr).toContain('is no task type of this project');
});

test('a program that fails is tried again, unless it says that it is of no use; then it can be requeued', async () => {
  const id = await enqueue('test', '--payload', '{}');
  expect((await work('test', 'echo broken >&2; exit 1')).stdout).toContain('PENDING');
  const bad = await enqueue('test', '--payload', '{}');
  expect((await work('test', 'echo no >&2; exit 65')).stdout).toContain(`${bad}  attempt 1  FAILED`);
  expect(await json('task', 'show', bad)).toMatchObject({ failure: { reason: 'no', retryable: false } });
  const watched = await slipway('task', 'watch', bad);
  expect([watched.exitCode, watched.stdout]).toEqual([3, expect.stringMatching(/QUEUED.*\n.*CLAIMED.*\n.*FINISHED/)]);
  expect((await slipway('task', 'requeue', bad)).stdout).toBe(`${bad} waits again.\n`);
  expect((await slipway('task', 'cancel', bad)).stdout).toBe(`${bad} is cancelled.\n`);
  expect((await slipway('task', 'cancel', id)).exitCode).toBe(0);
});

test('a running program ends when its task is cancelled, or its worker is told to', async () => {
  const id = await enqueue('deploy', '--payload', '{"environment":"a"}', '--lease-seconds', '5');
  const working = startCommand(['task', 'work', '--type', 'deploy', '--exec', 'sleep 600', '--once'], { environment });
  const isRunning = async () => (await json<{ status: string }>('task', 'show', id)).status === 'RUNNING';
  await waitFor(isRunning, { everyMs: 100 });
  expect((await slipway('task', 'cancel', id, '--reason', 'no')).stdout).toContain('is being cancelled');
  expect((await working.ended).stdout).toContain(`${id}  attempt 1  CANCELLED`);
  const other = await enqueue('deploy', '--payload', '{"environment":"a"}');
  const stopped = startCommand(['task', 'work', '--type', 'deploy', '--exec', 'sleep 600'], { environment });
  await waitFor(async () => (await json<{ status: string }>('task', 'show', other)).status === 'RUNNING', {
    everyMs: 100,
  });
  stopped.signal('SIGINT');
  expect(await stopped.ended).toMatchObject({
    exitCode: 0,
    stdout: expect.stringContaining(`${other}  attempt 1  PENDING`),
  });
});

test('tasks are counted, and a callback is sent again', async () => {
  const url = 'http://127.0.0.1:9/hook';
  const id = await enqueue('deploy', '--payload', '{"environment":"b"}', '--callback-url', url);
  expect(await json('task', 'stats', '-p', 'boats', '-t', 'deploy')).toMatchObject({ waiting: 2, running: 0 });
  expect((await slipway('task', 'stats', '-p', 'boats', '-t', 'deploy')).stdout).toMatch(
    /^Waiting +2\n.*\nOldest +waits for /s,
  );
  const early = await slipway('task', 'redeliver', id);
  expect([early.exitCode, early.stderr]).toEqual([1, expect.stringContaining('has not ended')]);
  await slipway('task', 'cancel', id);
  const again = await slipway('task', 'redeliver', id);
  expect(again.stdout).toMatch(/^msg_\w+ will be sent to http:\/\/127\.0\.0\.1:9\/hook again\.\n$/);
  expect(await json('task', 'redeliver', id)).toMatchObject({ url, status: 'PENDING' });

  const build = (
    await slipway('build', 'start', '-p', 'boats', '--run-after', '2099-01-01', '--callback-url', url, 'Work.')
  ).stdout.trim();
  const none = await slipway('build', 'redeliver', build);
  expect([none.exitCode, none.stderr]).toEqual([1, expect.stringContaining(`There is no ${build} with a callback.`)]);
  await slipway('build', 'cancel', build);
  expect(await json('build', 'redeliver', build)).toMatchObject({ url, status: 'PENDING' });
  expect(await json('task', 'redeliver', build.replace('build', 'task'))).toMatchObject({ url });
});

test('the queue, a project and a key are held back and let go on, and say how they are', async () => {
  const waits = async (id: string) =>
    (await json<{ waitingReason: { code: string } | null }>('build', 'show', id)).waitingReason?.code;
  const start = ['build', 'start', '-p', 'boats', '--concurrency-key', 'site', '--priority', '3', 'Work.'];
  const build = (await slipway(...start)).stdout.trim();
  expect(await waits(build)).toBe('NO_WORKER');

  const paused = await slipway('queue', 'pause');
  expect(paused.stdout).toMatch(/^Nothing starts: paused by token_\w+\.\nAt the same time: any number\.\n$/);
  expect(await waits(build)).toBe('PAUSED');
  expect(await json('queue', 'limit', '7')).toMatchObject({ maxRunning: 7, pausedAt: expect.any(String) });
  expect((await slipway('queue')).stdout).toMatch(
    /^Nothing starts: paused by token_\w+ since .*\nAt the same time run 7 at most\.\nBuilds {2}1 waiting · .*\n {2}PAUSED +1\nTasks /,
  );
  expect(await json('queue')).toMatchObject({ waiting: 1, settings: { maxRunning: 7 }, tasks: { running: 0 } });
  const scopes = ['--scope', 'stats:read', '--scope', 'builds:read'];
  const { token } = await json<{ token: string }>('token', 'create', 'viewer', ...scopes);
  const viewed = await runCommand(['queue', '--json'], { environment: { ...environment, SLIPWAY_TOKEN: token } });
  expect(JSON.parse(viewed.stdout)).toMatchObject({ waiting: 1, settings: { maxRunning: 7 }, tasks: null });
  expect((await slipway('queue', 'limit', 'none')).stdout).toContain('At the same time: any number.');
  expect((await slipway('queue', 'resume')).stdout).toContain('Work starts.');
  expect((await slipway('queue', 'limit', 'few')).stderr).toContain('whole number');

  expect((await slipway('project', 'pause', 'boats')).stdout).toContain('Nothing of boats starts.');
  expect(await waits(build)).toBe('PROJECT_PAUSED');
  expect((await slipway('project', 'resume', 'boats')).stdout).toContain('boats starts its work.');
  const limited = await slipway('project', 'limit', 'boats', '--running', '4', '--per-key', '2', '--weight', '1.5');
  expect(limited.stdout).toContain('At the same time: 4, 2 of a key. Weight: 1.5.');
  const any = await json('project', 'limit', 'boats', '--running', 'none');
  expect(any).toMatchObject({ settings: { queue: { maxRunning: null, maxRunningPerKey: 2, weight: 1.5 } } });
  const key = ['project', 'limit', 'boats', '--key', 'site'];
  expect((await slipway(...key, '--running', '3')).stdout).toContain('\n  site: 3\n');
  expect((await slipway(...key)).stderr).toContain('--running');
  expect((await slipway('project', 'limit', 'boats')).stderr).toContain('Say what to change');

  expect((await slipway('build', 'priority', build, '9')).stdout).toBe(`${build} has the priority 9.\n`);
  expect((await slipway('project', 'pause', 'ships')).stderr).toContain('There is no project ships');
});
