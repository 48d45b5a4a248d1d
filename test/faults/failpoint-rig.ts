/**
 * The world around one case: a database, a remote, a receiver of callbacks, an API and workers that nothing is done to
 * in this process, and the processes that are made to fail.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createApiToken } from '../../src/auth/api-token.ts';
import { LEASE_SECONDS } from '../../src/builds/lease.ts';
import type { CallbackPayload } from '../../src/callbacks/callback.ts';
import { openService, type Service } from '../../src/cli/open-service.ts';
import { readConfig } from '../../src/config/config.ts';
import { isTransient } from '../../src/database/transient.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { openReceiver } from '../callbacks/receiver.ts';
import { type SlipwayProcess, startSlipway } from '../cli/slipway-process.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { freePort } from '../support/free-port.ts';
import type { GitServer } from '../support/git-server.ts';
import { waitFor } from '../support/wait-for.ts';
import type { Host } from './failpoint-cases.ts';
import { Recorder, recordDelivery, uuidOf } from './history.ts';
import { watchQueue } from './queue-watch.ts';

/** The builds and tasks of one process at a time. */
const CAPACITY = '2';
/** What remote workers have, and builds ask for that are theirs. */
export const FAR = 'far';

export interface HostProcess extends SlipwayProcess {
  /** Of its GraphQL endpoint; null for a worker. */
  readonly url: string | null;
}

export interface Rig extends AsyncDisposable {
  readonly database: TestDatabase;
  readonly recorder: Recorder;
  /** Data folders and logs of processes are below it. */
  readonly folder: string;
  /** The API in this process. Throws before it is open. */
  readonly service: Service;
  /** Where it is, or will be. */
  readonly url: string;
  readonly token: string;
  readonly callbackUrl: string;
  /** Project (UUID) -> path of its bare repository. */
  readonly remotes: Map<string, string>;
  /** Project (UUID) -> what signs its callbacks. */
  readonly callbackSecrets: Map<string, string>;
  readonly secrets: readonly string[];
  readonly git: GitServer;
  readonly gitPassword: string;
  openApi(): Promise<void>;
  /** Starts the program `slipway serve` or `slipway work`, and waits until it is ready. */
  startProcess(host: Host, options: ProcessOptions): Promise<HostProcess>;
  /** A worker in this process, with the delivery of callbacks. */
  openWorker(folder: string, labels?: string): Promise<void>;
  /** Ends every worker and process, as an operator does; then what they said is in `folder`, too. */
  shutDown(): Promise<void>;
}

export interface ProcessOptions {
  /** Name of its data folder. */
  readonly folder: string;
  readonly failpoints?: string;
  readonly port?: number;
  /** Of a remote worker: the GraphQL endpoint of its server, by default the one in this process. */
  readonly server?: string;
}

export interface RigOptions {
  readonly git: GitServer;
  readonly gitPassword: string;
  /** No API is open in this process at first: what is due is done by the process under test. */
  readonly isAlone: boolean;
}

export async function openRig({ git, gitPassword, isAlone }: RigOptions): Promise<Rig> {
  await using opened = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'slipway-failpoint-'));
  opened.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  await mkdir(join(folder, 'logs'));
  const database = opened.use(await openTestDatabase());
  await watchQueue(database.db);
  const recorder = new Recorder();
  const callbackSecrets = new Map<string, string>();
  const secretOf = (projectId: string) => callbackSecrets.get(projectId) ?? '';
  const receiver = opened.use(
    await openReceiver({
      answer: (response, { headers, body }) => {
        const { project_id } = JSON.parse(body) as CallbackPayload;
        // Of a project whose mutation is not answered yet: its receiver does not know the secret before.
        if (secretOf(uuidOf('project', project_id)) === '') return void response.writeHead(503).end();
        recordDelivery(recorder, { headers, body, accepted: true, secretOf });
        response.end('ok');
      },
    }),
  );
  const environmentOf = (name: string) => ({ ...environment(database.url), SLIPWAY_DATA: join(folder, name) });
  const open = async (name: string, parts: { api: boolean; work: boolean }, own: Record<string, string> = {}) => {
    const config = readConfig({ PATH: process.env.PATH, ...environmentOf(name), ...own });
    const options = { config, logger: createLogger('silent'), databaseUrl: database.url, ...parts };
    // As whoever keeps a service running does: on a machine that is very busy no connection may come about in time.
    const tryToOpen = () => openService(options).catch(unlessTransient);
    return waitFor(tryToOpen, { deadlineMs: 60_000, everyMs: 500, what: `the service ${name}` });
  };
  let service: Service | null = null;
  const port = isAlone ? await freePort() : 0;
  const openApi = () => open('api', { api: true, work: false }, { SLIPWAY_PORT: String(port) });
  if (!isAlone) service = opened.use(await openApi());
  const input = { name: 'bot', scopes: ['admin'] as const, projectIds: null, expiresAt: null, createdBy: 'test' };
  const { token } = await createApiToken(database.db, input);
  const work = { ...input, name: 'remote', scopes: ['work'] as const };
  const { token: workToken } = await createApiToken(database.db, work);
  const url = `${service?.server?.url ?? `http://127.0.0.1:${port}`}/graphql`;
  const processes = opened.adopt([] as HostProcess[], async (started) => {
    for (const { child } of started) child.kill('SIGKILL');
    await Promise.all(started.map(({ ended }) => ended));
  });
  const workers = opened.use(new AsyncDisposableStack());
  const resources = opened.move();
  return {
    ...{ database, recorder, folder, url, token, git, gitPassword, callbackSecrets },
    get service() {
      if (!service) throw new Error('the API in this process is not open');
      return service;
    },
    callbackUrl: receiver.url,
    remotes: new Map(),
    secrets: [gitPassword, token, workToken, MODEL_KEY, MASTER_KEY],
    async openApi() {
      service = workers.use(await openApi());
    },
    async startProcess(host, options) {
      const far = { url: options.server ?? url, token: workToken, folder: join(folder, options.folder) };
      const started = await startHost(
        host,
        options,
        host === 'remote' ? farEnvironment(far) : environmentOf(options.folder),
      );
      processes.push(started);
      return started;
    },
    async openWorker(name, labels) {
      workers.use(await open(name, { api: false, work: true }, labels ? { SLIPWAY_WORKER_LABELS: labels } : {}));
    },
    async shutDown() {
      await Promise.all([workers.disposeAsync(), ...processes.map(stop)]);
      for (const { pid, stdout, stderr } of processes) await writeFile(join(folder, 'logs', `${pid}`), stdout + stderr);
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** On a machine that is very busy no connection may come about in time. */
export function unlessTransient(error: unknown): null {
  if (!isTransient(error)) throw error;
  return null;
}

const MASTER_KEY = Buffer.from('the master key of the failpoints').toString('base64');
const MODEL_KEY = 'sk-ant-the-key-of-the-model-9f2c';

function environment(databaseUrl: string): Record<string, string> {
  return {
    SLIPWAY_DATABASE_URL: databaseUrl,
    SLIPWAY_DATABASE_POOL: '4',
    SLIPWAY_PORT: '0',
    SLIPWAY_MASTER_KEY: MASTER_KEY,
    ANTHROPIC_API_KEY: MODEL_KEY,
    SLIPWAY_DEFAULT_PROVIDER: 'scripted',
    // Not looked for at every start.
    SLIPWAY_CLAUDE_PATH: '/nowhere/claude',
    SLIPWAY_LOCAL_REPOSITORIES: 'true',
    SLIPWAY_CALLBACK_ALLOW_PRIVATE: 'true',
    SLIPWAY_WORKER_CAPACITY: CAPACITY,
    SLIPWAY_DRAIN_SECONDS: '0',
    SLIPWAY_SANDBOX: 'none',
    SLIPWAY_LOG_LEVEL: 'warn',
    SLIPWAY_REMOTE_LEASE_SECONDS: String(LEASE_SECONDS),
  };
}

/** Of a machine that has neither the database nor its keys. */
function farEnvironment({ url, token, folder }: { url: string; token: string; folder: string }) {
  return {
    SLIPWAY_URL: new URL(url).origin,
    SLIPWAY_TOKEN: token,
    SLIPWAY_DATA: folder,
    SLIPWAY_WORKER_LABELS: FAR,
    SLIPWAY_CLAUDE_PATH: '/nowhere/claude',
    SLIPWAY_LOCAL_REPOSITORIES: 'true',
    SLIPWAY_WORKER_CAPACITY: CAPACITY,
    SLIPWAY_DRAIN_SECONDS: '0',
    SLIPWAY_SANDBOX: 'none',
    SLIPWAY_LOG_LEVEL: 'warn',
  };
}

/** A fault has happened. */
const HIT = /^failpoint /m;

/** Once more when it ends before it is ready, which a busy machine can make it do. */
async function startHost(...start: Parameters<typeof startOnce>): Promise<HostProcess> {
  const first = await startOnce(...start);
  const isGone = ({ child, stdout, stderr }: HostProcess) =>
    child.exitCode !== null && stdout === '' && !HIT.test(stderr);
  if (!isGone(first)) return first;
  const second = await startOnce(...start);
  if (isGone(second)) throw new Error(`it did not start: ${second.stderr}`);
  return second;
}

async function startOnce(host: Host, options: ProcessOptions, env: Record<string, string>): Promise<HostProcess> {
  const command = host === 'server' ? 'serve' : 'work';
  const args = host === 'remote' ? ['--server', env.SLIPWAY_URL ?? ''] : [];
  const started = startSlipway([command, '--json', ...args], {
    ...env,
    ...(options.port ? { SLIPWAY_PORT: String(options.port) } : {}),
    ...(options.failpoints ? { SLIPWAY_FAILPOINTS: options.failpoints } : {}),
  });
  let gone = false;
  void started.ended.then(() => {
    gone = true;
  });
  // A fault at its start may end it, or hold it, before it is ready.
  const isReady = () => gone || started.stdout.includes('\n') || HIT.test(started.stderr);
  await waitFor(isReady, { deadlineMs: 60_000, everyMs: 50, what: `slipway ${command}` }).catch((error: unknown) => {
    started.child.kill('SIGKILL');
    throw error;
  });
  const { url = null } = started.stdout.includes('\n') ? (JSON.parse(started.stdout) as { url?: string }) : {};
  return Object.assign(started, { url });
}

/** Longer than a worker waits for what it cannot let go of. */
const STOP_DEADLINE_MS = 45_000;

async function stop(process: HostProcess): Promise<void> {
  const { child, ended, pid } = process;
  child.kill('SIGTERM');
  const isGone = () => child.exitCode !== null || child.signalCode !== null;
  const what = `the end of process ${pid}`;
  await waitFor(isGone, { deadlineMs: STOP_DEADLINE_MS, everyMs: 50, what }).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${process.stdout}${process.stderr}`, { cause: error });
  });
  await ended;
}
