import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { script } from '../support/script.ts';
import { waitFor } from '../support/wait-for.ts';
import { type RunningCommand, runCommand, startCommand } from './run-command.ts';

let database: TestDatabase;
let dataFolder: string;
let environment: Record<string, string>;

beforeAll(async () => {
  database = await openTestDatabase();
  dataFolder = await mkdtemp(join(tmpdir(), 'slipway-service-'));
  environment = {
    SLIPWAY_DATABASE_URL: database.url,
    SLIPWAY_DATA: dataFolder,
    SLIPWAY_PORT: '0',
    SLIPWAY_LOG_LEVEL: 'silent',
    SLIPWAY_DEFAULT_PROVIDER: 'scripted',
  };
});

afterAll(async () => {
  await database[Symbol.asyncDispose]();
  await rm(dataFolder, { recursive: true, force: true });
});

async function firstRecord<T>(command: RunningCommand): Promise<T> {
  const line = await Promise.race([
    waitFor(() => (command.stdout.includes('\n') ? command.stdout : null), {
      deadlineMs: 20_000,
      what: 'the first line',
    }),
    command.ended.then(({ stderr }) => {
      throw new Error(`it ended: ${stderr}`);
    }),
  ]);
  return JSON.parse(line) as T;
}

async function stop(command: RunningCommand): Promise<void> {
  command.signal('SIGTERM');
  expect(await command.ended).toMatchObject({ exitCode: 0, stderr: '' });
}

interface Up {
  readonly url: string;
  readonly token: string | null;
}

test('up makes a first token once, keeps it in a file of its owner, and works', async () => {
  const first = startCommand(['up', '--json'], { environment });
  const { url, token } = await firstRecord<Up>(first);
  expect(token).toMatch(/^slipway_/);
  const file = join(dataFolder, 'token');
  expect(await readFile(file, 'utf8')).toBe(`${token}\n`);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  const page = await fetch(url, { headers: { accept: 'text/html' } });
  expect(page.headers.get('content-type')).toContain('text/html');
  expect(await page.text()).toContain('GraphiQL');
  await stop(first);

  const second = startCommand(['up', '--json'], { environment });
  expect(await firstRecord<Up>(second)).toMatchObject({ token: null });
  const refused = await runCommand(['up'], { environment });
  expect(refused.exitCode).toBe(1);
  expect(refused.stderr).toContain(`Slipway runs already on ${dataFolder}`);
  await stop(second);

  const third = startCommand(['up', '--json', '--new-token'], { environment });
  const again = await firstRecord<Up>(third);
  expect(again.token).not.toBe(token);
  expect(await readFile(file, 'utf8')).toBe(`${again.token}\n`);
  await stop(third);
});

test('up tells a newcomer everything that a first build needs, and the mutation does work', async () => {
  const up = startCommand(['up', '--new-token'], { environment });
  await waitFor(() => up.stdout.includes('Then watch it'), { deadlineMs: 20_000, what: 'the welcome' });
  expect(up.stdout).toMatch(/GraphiQL +http:\/\/127\.0\.0\.1:\d+\/graphql\n/);
  expect(up.stdout).toMatch(/the local runtime is no sandbox|Builds run in a bubblewrap sandbox/);
  const [, url = '', authorization = '', body = ''] =
    /^curl (\S+) -H 'content-type: application\/json' -H 'authorization: ([^']+)' -d '([^']+)'$/m.exec(up.stdout) ?? [];
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization },
    body,
  });
  expect(await response.json()).toMatchObject({
    data: { createAndBuild: { __typename: 'CreateAndBuildPayload', build: { status: 'PENDING' } } },
  });
  await stop(up);
});

/** Opens both services, and starts a build that says so when its agent is at it, and then waits. */
async function openCluster(name: string, waitSeconds: number) {
  const serve = startCommand(['serve', '--json'], { environment });
  const work = startCommand(['work', '--json'], { environment });
  const { url } = await firstRecord<Up>(serve);
  expect(await firstRecord(work)).toMatchObject({ capacity: 2 });
  const made = await runCommand(['token', 'create', name, '--scope', 'admin', '--database'], { environment });
  const clientEnvironment = { ...environment, SLIPWAY_URL: url, SLIPWAY_TOKEN: made.stdout.trim() };
  const slipway = (...args: string[]) => runCommand(args, { environment: clientEnvironment });
  expect(await slipway('project', 'create', name)).toMatchObject({ exitCode: 0 });
  const prompt = script({ print: 'I am at it.' }, { wait: waitSeconds }, { write: { path: 'a', content: 'a' } });
  const id = (await slipway('build', 'start', '-p', name, prompt)).stdout.trim();
  const watching = startCommand(['build', 'watch', id], { environment: clientEnvironment });
  await waitFor(() => watching.stdout.includes('I am at it.'), { deadlineMs: 20_000, what: 'the agent' });
  return { serve, work, id, slipway, watching };
}

test('serve and work share a database; a signal lets a running build end, also when npm doubles it', async () => {
  const { serve, work, watching } = await openCluster('drained', 1);
  work.signal('SIGINT');
  await stop(work);
  const watched = await watching.ended;
  expect(watched.exitCode).toBe(0);
  expect(watched.stdout).not.toContain('attempt 2');
  await stop(serve);
});

test('a second signal puts a running build back into the queue at once', async () => {
  const { serve, work, id, slipway, watching } = await openCluster('released', 600);
  const since = performance.now();
  work.signal('SIGTERM');
  await waitFor(() => performance.now() - since > 1_100, { what: 'the time in which signals are one' });
  await stop(work);
  const { stdout } = await slipway('build', 'show', id, '--json');
  expect(JSON.parse(stdout)).toMatchObject({ status: 'PENDING', attempt: 1 });
  await waitFor(() => watching.stdout.includes('back in the queue'), { what: 'the event' });
  watching.signal('SIGINT');
  await watching.ended;
  await stop(serve);
});

test('serve, work and migrate need a database, and say so', async () => {
  for (const name of ['serve', 'work', 'migrate']) {
    const { exitCode, stderr } = await runCommand([name], { environment: { SLIPWAY_DATA: dataFolder } });
    expect({ name, exitCode }).toEqual({ name, exitCode: 1 });
    expect(stderr).toContain('SLIPWAY_DATABASE_URL is not set.');
  }
});

test('a database that does not answer or is not migrated is told in two lines', async () => {
  const gone = { ...environment, SLIPWAY_DATABASE_URL: 'postgres://me:hunter2@127.0.0.1:1/x' };
  for (const name of ['up', 'serve', 'work', 'migrate']) {
    const { exitCode, stderr } = await runCommand([name], { environment: gone });
    expect({ name, exitCode }).toEqual({ name, exitCode: 1 });
    expect(stderr).toMatch(
      /^error: The database cannot be used: .*ECONNREFUSED.*\n {2}Check SLIPWAY_DATABASE_URL.*\n$/,
    );
    expect(stderr).not.toContain('hunter2');
  }
  const empty = new URL(database.url);
  empty.pathname = '/postgres';
  const { stderr } = await runCommand(['work'], { environment: { ...environment, SLIPWAY_DATABASE_URL: empty.href } });
  expect(stderr).toContain('Run slipway migrate first.');
});

test('migrate is safe to repeat', async () => {
  const { exitCode, stdout } = await runCommand(['migrate', '--json'], { environment });
  expect({ exitCode, answer: JSON.parse(stdout) }).toEqual({ exitCode: 0, answer: { applied: [] } });
});

test('a port in use, a host that is not ours and a bad configuration are told in a line or two', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const taken = await runCommand(['up', '--port', String(port)], { environment });
  server.close();
  expect(taken).toMatchObject({ exitCode: 1, stdout: '' });
  expect(taken.stderr).toBe(
    `error: 127.0.0.1:${port} is in use by another program.\n  Choose another port with SLIPWAY_PORT, or 0 for a free one.\n`,
  );
  const elsewhere = await runCommand(['up', '--host', '192.0.2.1'], { environment });
  expect(elsewhere.stderr).toContain('Cannot listen on 192.0.2.1:0');
  const bad = await runCommand(['up', '--port', 'many'], { environment: { ...environment, SLIPWAY_HOST: '' } });
  expect(bad.stderr).toMatch(/^error: The configuration is not valid\.\nSLIPWAY_PORT: /);
});

test('up does not let others in to a machine on which builds run without a sandbox, unless that is wanted', async () => {
  // A build of another test may be waiting: nobody waits for its end.
  const open = { ...environment, SLIPWAY_SANDBOX: 'none', SLIPWAY_DRAIN_SECONDS: '0' };
  const refused = await runCommand(['up', '--json', '--host', '0.0.0.0'], { environment: open });
  expect(refused.exitCode).toBe(1);
  expect(JSON.parse(refused.stderr)).toMatchObject({ error: { code: 'NO_SANDBOX' } });
  for (const advice of ['0.0.0.0', 'SLIPWAY_SANDBOX', '127.0.0.1', 'SLIPWAY_ALLOW_UNSANDBOXED=true']) {
    expect(refused.stderr).toContain(advice);
  }
  const wanted = { ...open, SLIPWAY_HOST: '0.0.0.0', SLIPWAY_ALLOW_UNSANDBOXED: 'true' };
  const up = startCommand(['up', '--json'], { environment: wanted });
  expect(await firstRecord<Up>(up)).toMatchObject({ url: expect.stringContaining('/graphql') });
  await stop(up);
});

test('work says what it does not keep agents from', async () => {
  const work = startCommand(['work'], {
    environment: { ...environment, SLIPWAY_SANDBOX: 'none', SLIPWAY_DRAIN_SECONDS: '0' },
  });
  await waitFor(() => work.stderr.includes('No sandbox: SLIPWAY_SANDBOX is none.'), { deadlineMs: 20_000 });
  expect(work.stderr).toContain('Builds that limit the network are refused.');
  work.signal('SIGTERM');
  expect(await work.ended).toMatchObject({ exitCode: 0 });
});
