/** The processes of a running Slipway die in the middle of a build; the build and those who watch it do not notice. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createApiToken } from '../../src/auth/api-token.ts';
import { migrateDatabase } from '../../src/cli/migrate-database.ts';
import { createClient } from '../../src/client/client.ts';
import { CreateProjectDocument, StartBuildDocument } from '../../src/client/generated.ts';
import { type BuildProgressEvent, watchBuild } from '../../src/client/watch-build.ts';
import { openDatabase } from '../../src/database/database.ts';
import { openEmbeddedPostgres } from '../../src/database/embedded-postgres.ts';
import { locatePostgres } from '../../src/database/postgres-binaries.ts';
import { unprivilegedUser } from '../../src/database/unprivileged-user.ts';
import { managedRepositoryPath } from '../../src/projects/repository.ts';
import { fromPublicId } from '../../src/std/public-id.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { isAlive, postgresPid, type SlipwayProcess, startSlipway, upAnswer } from '../cli/slipway-process.ts';
import { freePort } from '../support/free-port.ts';
import { script } from '../support/script.ts';
import { waitFor } from '../support/wait-for.ts';
import { startCallbackReceiver } from './callback-receiver.ts';
import { upTo } from './cut-ten-times.ts';
import { type Endpoint, requestData } from './graphql-request.ts';

const run = promisify(execFile);

const logger = createLogger('warn');
let opened: AsyncDisposableStack;
let folder: string;

beforeEach(async () => {
  opened = new AsyncDisposableStack();
  folder = await mkdtemp(join(tmpdir(), 'slipway-restarts-'));
  opened.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  // As root, Postgres runs as another user, who must be able to pass through.
  await chmod(folder, 0o711);
});
afterEach(async () => {
  // An agent that still waits may go.
  await openGate();
  await opened.disposeAsync();
});

function start(args: readonly string[], environment: Record<string, string>): SlipwayProcess {
  const slipway = startSlipway(args, environment);
  // Only of use when the test has failed: else it has ended by itself.
  opened.defer(async () => {
    slipway.child.kill('SIGKILL');
    await slipway.ended;
  });
  return slipway;
}

interface Work {
  readonly projectId: string;
  readonly buildId: string;
  readonly seen: BuildProgressEvent[];
  /** Rejects when the watch gives up. */
  readonly watched: Promise<void>;
  /** How often the connection was lost. */
  readonly cuts: () => number;
}

/** A build whose agent talks for two seconds, then waits for the file `gate`; and a client that watches it. */
async function startWork(endpoint: Endpoint, receiverUrl?: (secret: string) => Promise<string>): Promise<Work> {
  const client = opened.use(createClient(endpoint));
  const { createProject } = await client.request(CreateProjectDocument, { input: { name: 'Work' } });
  if (createProject.__typename !== 'CreateProjectPayload') throw new Error(JSON.stringify(createProject));
  const talk = Array.from({ length: 40 }, (_, index) => [{ print: `word ${index}` }, { wait: 0.05 }]).flat();
  const prompt = script(
    { run: `echo run >> ${join(folder, 'runs')}; echo $$ > ${join(folder, 'supervised')}` },
    ...talk,
    { run: `echo $$ > ${join(folder, 'agent')}; until [ -e ${join(folder, 'gate')} ]; do sleep 0.05; done` },
    { print: 'the gate is open' },
    { write: { path: 'done.txt', content: 'done\n' } },
  );
  const callbackUrl = receiverUrl ? await receiverUrl(createProject.callbackSecret ?? '') : null;
  const { startBuild } = await client.request(StartBuildDocument, {
    input: { projectId: createProject.project.id, spec: { prompt, callbackUrl } },
  });
  if (startBuild.__typename !== 'StartBuildPayload') throw new Error(JSON.stringify(startBuild));
  const buildId = startBuild.build.id;
  const seen: BuildProgressEvent[] = [];
  let cuts = 0;
  const onCut = () => {
    cuts += 1;
  };
  const watch = async () => {
    for await (const event of watchBuild(client, buildId, { onCut })) seen.push(event);
  };
  const watched = watch();
  // A test that has failed before it waits for this fails for its own reason.
  watched.catch(() => {});
  return { projectId: createProject.project.id, buildId, seen, watched, cuts: () => cuts };
}

const talked = ({ seen }: Work) => seen.filter(({ type }) => type === 'AGENT_ACTIVITY').length > 5;
const openGate = () => writeFile(join(folder, 'gate'), '');
const agentPid = async () => Number(await readFile(join(folder, 'agent'), 'utf8').catch(() => '0'));

async function expectDoneOnce({ seen, projectId, buildId }: Work, dataFolder: string): Promise<void> {
  expect(seen.map(({ cursor }) => Number(cursor))).toEqual(upTo(seen.length));
  expect(seen.at(-1)).toMatchObject({ type: 'FINISHED', status: 'COMPLETED' });
  const words = seen.flatMap((event) =>
    event.__typename === 'AgentActivity' && event.content.__typename === 'AgentMessage' ? [event.content.text] : [],
  );
  expect(words).toEqual([...upTo(40).map((index) => `word ${index - 1}`), 'the gate is open']);
  expect(await readFile(join(folder, 'runs'), 'utf8')).toBe('run\n');
  const repository = managedRepositoryPath({ dataFolder }, fromPublicId('project', projectId) ?? '');
  const log = ['log', '--all', '--format=%(trailers:key=Slipway-Build,valueonly,separator=)'];
  const { stdout } = await run('git', ['-C', repository, ...log]);
  expect(stdout.split('\n').filter(Boolean)).toEqual([buildId]);
}

test('kill -9 of the server, then immediate shutdown of its Postgres, in the middle of a build', async () => {
  const dataFolder = join(folder, 'data');
  const environment = {
    SLIPWAY_DATA: dataFolder,
    SLIPWAY_PORT: String(await freePort()),
    SLIPWAY_LOG_LEVEL: 'warn',
    SLIPWAY_DEFAULT_PROVIDER: 'scripted',
    // The agent leaves its marks outside of its workspace.
    SLIPWAY_SANDBOX: 'none',
  };
  opened.defer(async () => {
    const pid = await postgresPid(dataFolder).catch(() => null);
    if (pid !== null && (await isAlive(pid))) process.kill(pid, 'SIGQUIT');
  });
  const first = start(['up', '--json'], environment);
  const endpoint = await upAnswer(first);
  const work = await startWork(endpoint);
  await waitFor(() => talked(work), { what: 'the agent' });
  first.child.kill('SIGKILL');
  expect(await first.ended).toBe('SIGKILL');
  const agent = await waitFor(agentPid, { what: 'the agent to go on alone' });
  expect(await isAlive(agent)).toBe(true);

  const restartedAt = performance.now();
  const second = start(['up', '--json'], environment);
  await upAnswer(second);
  const started = () => work.seen.filter(({ type }) => type === 'STARTED').length;
  await waitFor(() => started() === 2, { deadlineMs: 20_000, what: 'the second attempt' });
  console.log(`start after kill -9 to the next attempt: ${Math.round(performance.now() - restartedAt)} ms`);
  const killed = await postgresPid(dataFolder);
  process.kill(killed, 'SIGQUIT');
  await waitFor(async () => !(await isAlive(killed)), { what: 'the end of Postgres' });
  await openGate();
  await work.watched;
  expect(work.cuts()).toBeGreaterThan(0);
  expect(started()).toBe(2);
  await expectDoneOnce(work, dataFolder);
  expect(await isAlive(agent)).toBe(false);
  const postgres = await postgresPid(dataFolder);
  expect(postgres).not.toBe(killed);
  second.child.kill('SIGTERM');
  expect(await second.ended).toBe(0);
  expect(await isAlive(postgres)).toBe(false);
}, 120_000);

test('an outage of a Postgres that is not ours, in the middle of a build', async () => {
  const home = join(folder, 'postgres');
  const { url: databaseUrl } = await initialisePostgres(home);
  const { port } = new URL(databaseUrl);
  const postgres = await startPostgres(home, port);
  const dataFolder = join(folder, 'data');
  const environment = {
    SLIPWAY_DATABASE_URL: databaseUrl,
    SLIPWAY_DATA: dataFolder,
    SLIPWAY_PORT: '0',
    SLIPWAY_LOG_LEVEL: 'error',
    SLIPWAY_DEFAULT_PROVIDER: 'scripted',
    // The agent leaves its marks outside of its workspace.
    SLIPWAY_SANDBOX: 'none',
    SLIPWAY_CALLBACK_ALLOW_PRIVATE: 'true',
  };
  const serve = start(['serve', '--json'], environment);
  const worker = start(['work', '--json'], environment);
  const { url } = await upAnswer(serve);
  const endpoint = { url, token: await makeToken(databaseUrl) };
  const received: { count: () => number } = { count: () => 0 };
  const work = await startWork(endpoint, async (secret) => {
    const receiver = opened.use(await startCallbackReceiver(secret));
    received.count = () => receiver.received.filter((callback) => 'id' in callback).length;
    return receiver.url;
  });
  await waitFor(() => talked(work), { deadlineMs: 20_000, what: 'the agent' });

  postgres.kill('SIGQUIT');
  await once(postgres, 'exit');
  const outage = performance.now();
  // The outage itself: long enough for every connection and several retries to fail.
  await delay(2_000);
  for (const slipway of [serve, worker]) expect(slipway.child, slipway.stderr).toMatchObject(STILL_RUNS);
  expect((await fetch(url.replace('/graphql', '/readyz'))).status).toBe(503);
  await startPostgres(home, port);
  await openGate();
  await work.watched;
  console.log(`the begin of an outage of 2 s to the build's end: ${Math.round(performance.now() - outage)} ms`);
  expect(work.seen.filter(({ type }) => type === 'STARTED')).toHaveLength(1);
  await expectDoneOnce(work, dataFolder);
  const delivered = await waitFor(
    async () => {
      const { build } = await requestData(endpoint, DELIVERY_QUERY, { id: work.buildId });
      return build.callbacks[0]?.status === 'DELIVERED' && build.callbacks;
    },
    { what: 'the delivery' },
  );
  expect(delivered).toMatchObject([{ attempts: [{ statusCode: 200 }] }]);
  expect(received.count()).toBe(1);
  for (const slipway of [worker, serve]) {
    slipway.child.kill('SIGTERM');
    expect(await slipway.ended).toBe(0);
  }
}, 120_000);

const STILL_RUNS = { exitCode: null, signalCode: null };
const DELIVERY_QUERY = 'query ($id: ID!) { build(id: $id) { callbacks { status attempts { statusCode } } } }';

async function makeToken(url: string): Promise<string> {
  const db = openDatabase({ url, poolSize: 1, name: 'test', logger });
  const options = { name: 'test', scopes: ['admin'] as const, projectIds: null, expiresAt: null, createdBy: 'test' };
  const { token } = await createApiToken(db, options);
  await db.destroy();
  return token;
}

/** Makes a migrated database; nothing runs when this resolves. */
async function initialisePostgres(home: string): Promise<{ url: string }> {
  await using postgres = await openEmbeddedPostgres({ folder: home, durable: true, logger });
  await migrateDatabase(postgres.url, logger);
  return { url: postgres.url };
}

/** By hand, on this port: nobody starts it again. It ends with the test. */
async function startPostgres(home: string, port: string): Promise<ChildProcess> {
  const user = await unprivilegedUser();
  const { postgres } = await locatePostgres(user);
  const settings = { port, listen_addresses: '127.0.0.1', unix_socket_directories: '', max_connections: '200' };
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const data = join(await realpath(home), 'data');
  const child = spawn(postgres, ['-D', data, ...flags], { ...user, cwd: '/', env: { LC_ALL: 'C' }, stdio: 'ignore' });
  opened.defer(async () => {
    child.kill('SIGQUIT');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  });
  const ready = async () => (await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '')).includes('ready');
  await waitFor(ready, { what: 'Postgres' });
  return child;
}
