/** What a run plays against: Postgres, two servers, three workers, a git host, and the network between them. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createApiToken } from '../../src/auth/api-token.ts';
import { createClient } from '../../src/client/client.ts';
import { CreateProjectDocument } from '../../src/client/generated.ts';
import { type Database, openDatabase } from '../../src/database/database.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { uuidOf } from '../faults/history.ts';
import { findMarkedProcesses, type MarkedProcess } from '../faults/marked-processes.ts';
import { type GitServer, startGitServer } from '../support/git-server.ts';
import { mountSmallDisk, type SmallDisk } from '../support/small-disk.ts';
import { openTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { waitFor } from '../support/wait-for.ts';
import { type Clock, openClock } from './clock.ts';
import { ChaosPostgres } from './postgres.ts';
import { SlipwayNode } from './slipway-node.ts';

const run = promisify(execFile);
const EMPTY_TREE = '4b825dc642cb6eb9a060e54bf8d69288fbee4904';
const PROJECTS = 4;
const WAL_MEGABYTES = 320;
const HOST_MEGABYTES = 192;
const CAPACITY = 4;
const START_LIMIT_MS = 60_000;

/** A process and its way to the database. */
export interface Member {
  readonly node: SlipwayNode;
  readonly database: TcpProxy;
  /** Null: its clock cannot be set. */
  readonly clock: Clock | null;
}

export interface Server extends Member {
  /** What clients connect to. */
  readonly front: TcpProxy;
  /** Of the GraphQL endpoint behind `front`. */
  readonly url: string;
}

export interface ChaosProject {
  /** UUID. */
  readonly id: string;
  readonly publicId: string;
  readonly callbackSecret: string;
  /** Of its bare repository. */
  readonly path: string;
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
  const hosts = [join(folder, 'host-a'), hostDisk?.folder ?? join(folder, 'host-b')];
  const options = {
    folder: join(folder, 'postgres'),
    log: join(logs, 'postgres.log'),
    walFolder: walDisk?.folder ?? null,
    logger,
  };
  const postgres = opened.use(await ChaosPostgres.open(options));
  const db = openDatabase({ url: postgres.url, poolSize: 4, name: 'oracle', logger: createLogger('silent') });
  opened.defer(() => db.destroy());
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
  const workers = await Promise.all([0, 1, 2].map((index) => start('work', index)));
  await waitFor(() => [...servers, ...workers].every(({ node }) => node.ready), {
    deadlineMs: START_LIMIT_MS,
    what: 'the start',
  });
  const projects = await createProjects({ git, password, url: servers[0]?.url ?? '', token });
  const planted = [password, modelKey, ...projects.map(({ callbackSecret }) => callbackSecret.slice('whsec_'.length))];
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
  const database = opened.use(await openTcpProxy(postgres.port));
  const front = command === 'serve' ? opened.use(await openTcpProxy(0)) : null;
  const databaseUrl = new URL(postgres.url);
  databaseUrl.port = String(database.port);
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
  const member = { node, database, clock };
  return front ? { ...member, front, url: `http://127.0.0.1:${front.port}/graphql` } : member;
}

async function createProjects(options: {
  git: GitServer;
  password: string;
  url: string;
  token: string;
}): Promise<ChaosProject[]> {
  await using client = createClient({ url: options.url, token: options.token });
  const projects: ChaosProject[] = [];
  for (let number = 1; number <= PROJECTS; number += 1) {
    const repository = await options.git.createRepository(`project-${number}`);
    await commitFirst(repository.path);
    const { createProject } = await client.request(CreateProjectDocument, {
      input: {
        name: `Project ${number}`,
        repositoryUrl: repository.url,
        gitCredentials: { username: 'bot', password: options.password },
      },
    });
    if (createProject.__typename !== 'CreateProjectPayload' || !createProject.callbackSecret)
      throw new Error(JSON.stringify(createProject));
    const { project, callbackSecret } = createProject;
    const id = uuidOf('project', project.id);
    projects.push({ id, publicId: project.id, callbackSecret, path: repository.path });
  }
  return projects;
}

/** So that a branch which a build makes first is not the only one. */
async function commitFirst(path: string): Promise<void> {
  const identity = { GIT_AUTHOR_NAME: 'chaos', GIT_AUTHOR_EMAIL: 'chaos', GIT_COMMITTER_NAME: 'chaos' };
  const env = { ...process.env, ...identity, GIT_COMMITTER_EMAIL: 'chaos', GIT_DIR: path };
  const commit = await run('git', ['commit-tree', EMPTY_TREE, '-m', 'The beginning'], { env });
  await run('git', ['update-ref', 'refs/heads/main', commit.stdout.trim()], { env });
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
