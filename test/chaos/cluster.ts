/** What a run plays against: Postgres, two servers, three workers beside it and a remote one, a git host, and the network between. */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createApiToken } from '../../src/auth/api-token.ts';
import { type Database, openDatabase } from '../../src/database/database.ts';
import { recordProviderKeys } from '../../src/queue/provider-keys.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { findMarkedProcesses, type MarkedProcess } from '../faults/marked-processes.ts';
import { watchQueue } from '../faults/queue-watch.ts';
import { type GitServer, startGitServer } from '../support/git-server.ts';
import { mountSmallDisk, type SmallDisk } from '../support/small-disk.ts';
import { openTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { waitFor } from '../support/wait-for.ts';
import { type Clock, openClock } from './clock.ts';
import { ChaosPostgres } from './postgres.ts';
import { type ChaosProject, createProjects, KEY_VARIABLE } from './projects.ts';
import { SlipwayNode } from './slipway-node.ts';

const WAL_MEGABYTES = 320;
const HOST_MEGABYTES = 192;
const CAPACITY = 4;
const FAR_CAPACITY = 2;
const START_LIMIT_MS = 60_000;

export interface Member {
  readonly node: SlipwayNode;
  /** To the database; of the remote worker to its server. */
  readonly way: TcpProxy;
  /** Null: its clock cannot be set. */
  readonly clock: Clock | null;
}

export interface Server extends Member {
  /** What clients connect to. */
  readonly front: TcpProxy;
  /** Of the GraphQL endpoint behind `front`. */
  readonly url: string;
}

export interface Cluster {
  readonly postgres: ChaosPostgres;
  /** Straight to Postgres. */
  readonly db: Database;
  readonly servers: readonly Server[];
  readonly workers: readonly Member[];
  readonly git: GitServer;
  readonly projects: readonly ChaosProject[];
  readonly token: string;
  /** Of Postgres' write-ahead log, and of the worker that shares no host; null: not possible here. */
  readonly walDisk: SmallDisk | null;
  readonly hostDisk: SmallDisk | null;
  /** What this machine cannot do, with the reason. */
  readonly skipped: readonly string[];
  /** In no stored byte may stand any of them. */
  readonly secrets: readonly string[];
  /** Prints secrets in several ways; an agent may run it. */
  readonly leakScript: string;
  readonly logs: string;
  readonly hosts: readonly string[];
}

export async function openCluster(folder: string, opened: AsyncDisposableStack): Promise<Cluster> {
  const logger = createLogger('error');
  const logs = join(folder, 'logs');
  await mkdir(logs);
  const walDisk = opened.use(mountSmallDisk(WAL_MEGABYTES));
  const hostDisk = opened.use(mountSmallDisk(HOST_MEGABYTES));
  const hosts = [join(folder, 'host-a'), hostDisk?.folder ?? join(folder, 'host-b'), join(folder, 'host-far')];
  const options = {
    folder: join(folder, 'postgres'),
    log: join(logs, 'postgres.log'),
    walFolder: walDisk?.folder ?? null,
    logger,
  };
  const postgres = opened.use(await ChaosPostgres.open(options));
  const db = openDatabase({ url: postgres.url, poolSize: 4, name: 'oracle', logger: createLogger('silent') });
  opened.defer(() => db.destroy());
  await watchQueue(db);
  const input = { name: 'chaos', scopes: ['admin'] as const, projectIds: null, expiresAt: null, createdBy: 'chaos' };
  const { token } = await createApiToken(db, input);
  const password = `git-${randomBytes(18).toString('hex')}`;
  const modelKey = `sk-ant-${randomBytes(24).toString('hex')}`;
  const git = opened.use(await startGitServer({ password }));
  const masterKey = randomBytes(32).toString('base64');
  const clocks = await openClocks(folder);
  // Before the nodes in the stack, so after them in time: what their agents left has nobody else.
  opened.defer(() => endAgents(hosts));
  const start = (command: 'serve' | 'work', index: number) =>
    openMember({ command, index, folder, logs, postgres, opened, clocks, environment: { masterKey, modelKey, hosts } });
  const servers = (await Promise.all([start('serve', 0), start('serve', 1)])) as Server[];
  const near = await Promise.all([0, 1, 2].map((index) => start('work', index)));
  const far = await openFarWorker({ folder, logs, opened, db, server: servers[0], modelKey });
  const workers = [...near, far.member];
  await waitFor(() => [...servers, ...workers].every(({ node }) => node.ready), {
    deadlineMs: START_LIMIT_MS,
    what: 'the start',
  });
  await recordProviderKeys(db, [{ provider: 'scripted', variable: KEY_VARIABLE }]);
  const apiKey = `key-${randomBytes(24).toString('hex')}`;
  const projects = await createProjects({ git, password, apiKey, url: servers[0]?.url ?? '', token });
  const planted = [
    password,
    modelKey,
    apiKey,
    far.token,
    ...projects.map(({ callbackSecret }) => callbackSecret.slice('whsec_'.length)),
  ];
  return {
    ...{ postgres, db, servers, workers, git, projects, token, logs, hosts, walDisk, hostDisk },
    skipped: [
      ...(walDisk && hostDisk ? [] : ['full disk: a tmpfs cannot be mounted here']),
      ...(typeof clocks === 'string' ? [`clock jumps: ${clocks}`] : []),
    ],
    secrets: [...planted, token, masterKey],
    leakScript: await writeLeakScript(folder, [password, modelKey]),
  };
}

/** Of the second server and the third worker. */
async function openClocks(folder: string): Promise<readonly Clock[] | string> {
  const clocks = [await openClock(join(folder, 'clock-server')), await openClock(join(folder, 'clock-worker'))];
  const reason = clocks.find((clock) => typeof clock === 'string');
  return typeof reason === 'string' ? reason : (clocks as Clock[]);
}

async function openMember(options: {
  command: 'serve' | 'work';
  index: number;
  folder: string;
  logs: string;
  postgres: ChaosPostgres;
  opened: AsyncDisposableStack;
  clocks: readonly Clock[] | string;
  environment: { masterKey: string; modelKey: string; hosts: readonly string[] };
}): Promise<Member | Server> {
  const { command, index, logs, opened, postgres, environment } = options;
  const name = `${command === 'serve' ? 'server' : 'worker'}-${index + 1}`;
  const way = opened.use(await openTcpProxy(postgres.port));
  const front = command === 'serve' ? opened.use(await openTcpProxy(0)) : null;
  const databaseUrl = new URL(postgres.url);
  databaseUrl.port = String(way.port);
  const own = command === 'serve' ? index === 1 : index === 2;
  const clock =
    own && typeof options.clocks !== 'string' ? (options.clocks[command === 'serve' ? 0 : 1] ?? null) : null;
  const node = new SlipwayNode({
    name,
    command,
    log: join(logs, `${name}.log`),
    environment: {
      ...clock?.environment,
      SLIPWAY_DATABASE_URL: databaseUrl.href,
      SLIPWAY_MASTER_KEY: environment.masterKey,
      ANTHROPIC_API_KEY: environment.modelKey,
      // Two workers share a host; servers have no use for one but for artifacts.
      SLIPWAY_DATA: environment.hosts[command === 'work' && index === 2 ? 1 : 0] ?? '',
      SLIPWAY_PORT: '0',
      SLIPWAY_WORKER_NAME: name,
      SLIPWAY_WORKER_CAPACITY: String(CAPACITY),
      SLIPWAY_DATABASE_POOL: '10',
      SLIPWAY_DRAIN_SECONDS: '3',
      SLIPWAY_DEFAULT_PROVIDER: 'scripted',
      SLIPWAY_CALLBACK_ALLOW_PRIVATE: 'true',
      SLIPWAY_LOCAL_REPOSITORIES: 'true',
      SLIPWAY_RATE_LIMIT: '0',
      SLIPWAY_REMOTE_LEASE_SECONDS: '15',
      // One host with a sandbox, where there is one, and one without.
      SLIPWAY_SANDBOX: command === 'work' && index === 2 ? 'auto' : 'none',
      SLIPWAY_SANDBOX_PATHS: leakScriptPath(options.folder),
      SLIPWAY_LOG_LEVEL: 'info',
    },
    ...(front
      ? {
          onUrl: (url: URL) => {
            front.target = Number(url.port);
          },
        }
      : {}),
  });
  opened.use(node);
  const member = { node, way, clock };
  return front ? { ...member, front, url: `http://127.0.0.1:${front.port}/graphql` } : member;
}

/** It reaches one server, over a network of its own, and has nothing of the database. */
async function openFarWorker(options: {
  folder: string;
  logs: string;
  opened: AsyncDisposableStack;
  db: Database;
  server: Server | undefined;
  modelKey: string;
}): Promise<{ member: Member; token: string }> {
  const { folder, logs, opened, db, server, modelKey } = options;
  if (!server) throw new Error('a remote worker needs a server');
  const input = { name: 'far', scopes: ['work'] as const, projectIds: null, expiresAt: null, createdBy: 'chaos' };
  const { token } = await createApiToken(db, input);
  const way = opened.use(await openTcpProxy(server.front.port));
  const node = new SlipwayNode({
    ...{ name: 'worker-far', command: 'work', log: join(logs, 'worker-far.log') },
    args: ['--server', `http://127.0.0.1:${way.port}`],
    environment: {
      SLIPWAY_TOKEN: token,
      ANTHROPIC_API_KEY: modelKey,
      SLIPWAY_DATA: join(folder, 'host-far'),
      SLIPWAY_WORKER_NAME: 'worker-far',
      SLIPWAY_WORKER_CAPACITY: String(FAR_CAPACITY),
      SLIPWAY_DRAIN_SECONDS: '3',
      SLIPWAY_LOCAL_REPOSITORIES: 'true',
      SLIPWAY_SANDBOX: 'none',
      SLIPWAY_LOG_LEVEL: 'info',
    },
  });
  opened.use(node);
  return { member: { node, way, clock: null }, token };
}

function leakScriptPath(folder: string): string {
  return join(folder, 'leak.sh');
}

/** It stands outside of everything that is searched: only what it prints may come in there. */
async function writeLeakScript(folder: string, secrets: readonly string[]): Promise<string> {
  const file = leakScriptPath(folder);
  const lines = secrets.flatMap((secret) => {
    const middle = Math.floor(secret.length / 2);
    return [
      `echo "the key is ${secret}, keep it"`,
      `echo "on stderr: ${secret}" >&2`,
      `printf '%s' '${secret.slice(0, middle)}'; sleep 0.2; printf '%s\\n' '${secret.slice(middle)}'`,
      `printf 'user:%s' '${secret}' | base64 -w0; echo`,
      `echo '{"type":"activity","content":{"kind":"message","text":"${secret}"}}'`,
    ];
  });
  await writeFile(file, `${lines.join('\n')}\n`);
  await chmod(file, 0o600);
  return file;
}

/** The processes of builds of this run: other runs may be going on on this machine. */
export async function findAgents({ hosts }: Pick<Cluster, 'hosts'>): Promise<readonly MarkedProcess[]> {
  const marked = await findMarkedProcesses();
  return marked.filter(({ buildId }) => hosts.some((host) => existsSync(join(host, 'builds', buildId))));
}

/** What a worker that was killed has left running: the run is over, and nobody else would end it. */
async function endAgents(hosts: readonly string[]): Promise<void> {
  for (const { pid } of await findAgents({ hosts })) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended meanwhile.
    }
  }
}
