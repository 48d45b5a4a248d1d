/** The commands of workers, on a real worker process that an administrator ends. */
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { authenticate } from '../../src/auth/authenticate.ts';
import { findBuild } from '../../src/builds/build.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { findWorkers } from '../../src/workers/registry.ts';
import { openTestApi, type TestApi } from '../support/api.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';
import { waitFor } from '../support/wait-for.ts';
import { runCommand } from './run-command.ts';
import { startSlipway } from './slipway-process.ts';

let stack: TestStack;
let api: TestApi;
let environment: Record<string, string>;

beforeAll(async () => {
  stack = await openTestStack();
  api = await openTestApi(stack);
  environment = { SLIPWAY_URL: api.url, SLIPWAY_TOKEN: api.token, SLIPWAY_DATA: stack.dataFolder };
});
afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await stack[Symbol.asyncDispose]();
});

const slipway = (args: readonly string[], stdin = '') => runCommand(['worker', ...args], { environment, stdin });

/** `slipway work`, once it is there. */
async function startWork(name: string) {
  const work = startSlipway(['work'], {
    SLIPWAY_DATA: stack.dataFolder,
    SLIPWAY_DATABASE_URL: stack.databaseUrl,
    SLIPWAY_WORKER_NAME: name,
    SLIPWAY_WORKER_LABELS: 'rig,arch=arm64',
    SLIPWAY_SANDBOX: 'none',
    SLIPWAY_LOG_LEVEL: 'warn',
  });
  const there = async () => {
    if (work.child.exitCode !== null) throw new Error(work.stderr);
    return (await findWorkers(stack.orchestrator.db)).some((worker) => worker.name === name);
  };
  await waitFor(there, { deadlineMs: 40_000, everyMs: 50, what: 'the worker' });
  return work;
}

async function startRunning(projectId: string): Promise<string> {
  const spec = { prompt: script({ wait: 600 }), autoCommit: false };
  const { build } = await startBuild(stack.orchestrator, { projectId, spec }, 'test');
  const runs = async () => (await findBuild(stack.orchestrator.db, build.id))?.phase === 'AGENT';
  await waitFor(runs, { what: 'the agent' });
  return build.id;
}

test('a worker is listed, shown, cordoned and drained; its process ends with 0', async () => {
  const work = await startWork('rig-1');
  try {
    const { id: projectId } = await stack.createProject({ slug: 'boats' });
    const build = await startRunning(projectId);
    const listed = await slipway(['list', '--label', 'rig']);
    expect(listed.stdout).toMatch(/^WORKER +STATUS +RUNS .*\nrig-1 +ONLINE +1\/2 .*arch=arm64,rig,runtime:local/);
    const shown = await slipway(['show', 'rig-1']);
    expect(shown.stdout).toMatch(/Place +beside the database/);
    expect(shown.stdout).toMatch(/BUILD .*\nboats#1 +1 .* runs\n/);
    expect((await slipway(['cordon', 'rig-1'])).stdout).toMatch(/^rig-1 \(worker_[0-9a-f]{32}\) is CORDONED\.\n$/);
    expect((await slipway(['uncordon', 'rig-1'])).stdout).toContain('is ONLINE');
    expect((await slipway(['drain', 'rig-1', '--grace', '0'])).stdout).toContain('is DRAINING');
    expect(await work.ended).toBe(0);
    expect(await findBuild(stack.orchestrator.db, build)).toMatchObject({ status: 'PENDING' });
    const gone = await slipway(['drain', 'rig-1']);
    expect(gone).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('There is no worker rig-1') });
    const [worker] = JSON.parse((await slipway(['list', '--all', '--json'])).stdout);
    expect(worker).toMatchObject({ name: 'rig-1', status: 'OFFLINE' });
    expect((await slipway(['list'])).stderr).toContain('no such workers');
  } finally {
    work.child.kill('SIGKILL');
  }
});

test('an evicted worker ends its process, and its build goes on under another one', async () => {
  const evicted = await startWork('rig-2');
  const others = [evicted];
  try {
    const build = await waitFor(async () => {
      const rows = await stack.orchestrator.db
        .selectFrom('build_audit')
        .select('id')
        .where('phase', '=', 'AGENT')
        .execute();
      return rows[0]?.id;
    });
    others.push(await startWork('rig-3'));
    expect((await slipway(['evict', 'rig-2', '--json'])).stdout).toContain('"status": "EVICTED"');
    expect(await evicted.ended).toBe(0);
    const [other] = await findWorkers(stack.orchestrator.db);
    const movesOn = async () => {
      const row = stack.orchestrator.db.selectFrom('build_audit').select('worker_id').where('id', '=', build);
      return (await row.executeTakeFirst())?.worker_id === other?.id;
    };
    await waitFor(movesOn, { what: 'the other worker' });
    const attempts = stack.orchestrator.db.selectFrom('build_attempts').select('outcome').where('build_id', '=', build);
    const outcomes = (await attempts.orderBy('attempt_no').execute()).map(({ outcome }) => outcome);
    expect(outcomes).toEqual(['RELEASED', 'RELEASED', null]);
  } finally {
    for (const { child } of others) child.kill('SIGKILL');
  }
});

test('a machine enrols with a one-time token from stdin, and keeps its own in a file of its owner', async () => {
  const made = await slipway(['enrol-token', 'rig', '--label', 'rig', '--expires', '10m']);
  const token = made.stdout.trim();
  expect(made.stderr).toMatch(/^enrolment_[0-9a-f]{32} can be used once/);
  const server = api.url.replace('/graphql', '');
  const enrolled = await slipway(['enrol', '--server', server, '--name', 'far'], `${token}\n`);
  expect(enrolled.exitCode, enrolled.stderr).toBe(0);
  const file = join(stack.dataFolder, 'worker-token');
  expect(enrolled.stderr).toContain(`slipway work --server ${server} --token-file ${file}`);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  const own = (await readFile(file, 'utf8')).trim();
  expect(await authenticate(stack.orchestrator.db, `Bearer ${own}`)).toMatchObject({ scopes: ['work'] });
  for (const { stdout, stderr } of [enrolled]) expect(stdout + stderr).not.toContain(own);

  const again = await slipway(['enrol', '--server', api.url], token);
  expect(again).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('--replace') });
  const used = await slipway(['enrol', '--server', api.url, '--replace'], token);
  expect(used).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('was used') });
  expect((await readFile(file, 'utf8')).trim()).toBe(own);
  const wrong = await slipway(['enrol', '--server', api.url, '--replace'], 'nothing');
  expect(wrong).toMatchObject({ exitCode: 4, stderr: expect.stringContaining('no such enrolment token') });
  expect((await slipway(['enrol', '--server', 'ftp://x', '--replace'], token)).stderr).toContain('not the URL');
});

test('who runs the command again after its answer was lost gets the same token', async () => {
  const { stdout } = await slipway(['enrol-token']);
  const file = join(stack.dataFolder, 'worker-token');
  const nonce = 'n'.repeat(43);
  const body = { token: stdout.trim(), nonce, name: 'lost', version: '1', capacity: 1 };
  const answer = await fetch(api.url.replace('/graphql', '/workers/enrol'), {
    method: 'POST',
    body: JSON.stringify(body),
  });
  const { token } = (await answer.json()) as { token: string };
  await writeFile(`${file}.nonce`, `${nonce}\n`);
  const { exitCode, stderr } = await slipway(['enrol', '--server', api.url, '--replace'], stdout);
  expect(exitCode, stderr).toBe(0);
  expect(await readFile(file, 'utf8')).toBe(`${token}\n`);
});

test('one-time tokens are listed and revoked', async () => {
  const enrolments = async (...args: readonly string[]) =>
    JSON.parse((await slipway(['enrolments', '--json', ...args])).stdout) as {
      id: string;
      name: string;
      state: string;
    }[];
  for (const { id } of await enrolments()) await slipway(['revoke-enrolment', id]);
  expect((await slipway(['enrolments'])).stderr).toContain('No enrolment waits');
  await slipway(['enrol-token', 'unwanted', '--label', 'gpu']);
  const [open] = await enrolments();
  expect(open).toMatchObject({ name: 'unwanted', state: 'OPEN', labels: ['gpu'], projectIds: null });
  const id = open?.id ?? '';
  expect((await slipway(['enrolments'])).stdout).toMatch(
    /^NAME .*\nunwanted +OPEN +\d{4}-.* gpu +all +- +enrolment_\w{32}\n$/,
  );
  expect((await slipway(['revoke-enrolment', id])).stdout).toBe(`${id} (unwanted) is of no use any more.\n`);
  expect(await enrolments()).toEqual([]);
  expect((await enrolments('--all')).find((one) => one.id === id)).toMatchObject({ state: 'REVOKED' });

  const used = (await enrolments('--all')).find(({ state }) => state === 'USED')?.id ?? '';
  const late = await slipway(['revoke-enrolment', used]);
  expect(late).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('has come with') });
  expect(late.stderr).toMatch(/slipway token revoke token_\w{32}/);
  const unknown = await slipway(['revoke-enrolment', 'enrolment_x']);
  expect([unknown.exitCode, unknown.stderr]).toEqual([1, expect.stringContaining('enrolment_x')]);
});
