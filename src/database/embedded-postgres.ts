/**
 * A real Postgres in a folder, for a laptop and for tests: initialised on first use, adopted if a killed process left
 * it running, stopped with us. The binaries are started by hand because the usual wrapper stops Postgres at the first
 * SIGTERM, before anything could drain.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, chown, lstat, mkdir, open, readFile, realpath, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { Logger } from '../telemetry/logger.ts';
import { trimBallast } from './ballast.ts';
import { locatePostgres, type PostgresBinaries, SYSTEM_FOLDER } from './postgres-binaries.ts';
import { canEnter, type UnixUser, unprivilegedUser } from './unprivileged-user.ts';

const USER = 'slipway';
const START_LIMIT_MS = 30_000;
const LOOK_EVERY_MS = 500;
const MAX_RESTART_PAUSE_MS = 10_000;

export interface EmbeddedPostgres extends AsyncDisposable {
  /** Of the database `slipway`, with its password; stays the same when Postgres has to be started again. */
  readonly url: string;
  /** Of the first postmaster. */
  readonly pid: number;
}

export interface EmbeddedPostgresOptions {
  /** Created on first use; the data stays in it. */
  readonly folder: string;
  /** False only for tests: a crash of the machine may lose everything. */
  readonly durable: boolean;
  readonly logger: Logger;
}

interface Cluster {
  readonly data: string;
  readonly password: string;
  readonly log: string;
  readonly ballast: string;
  readonly user: UnixUser | null;
  readonly binaries: PostgresBinaries;
}

/** Starts Postgres on a free port of the loopback interface, or adopts the one that still runs on this folder. */
export async function openEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const user = await unprivilegedUser();
  const home = await openHome(resolve(options.folder), user);
  const cluster: Cluster = {
    data: join(home, 'data'),
    log: join(home, 'postgres.log'),
    ballast: join(home, 'ballast'),
    password: await readPassword(home),
    user,
    binaries: await locatePostgres(user),
  };
  await initialise(cluster, home);
  const running = await findRunning(cluster);
  if (running) {
    options.logger.info({ pid: running.pid }, 'adopted the Postgres that an earlier process left running');
  }
  const server = running ?? (await start(cluster, await freePort(), options.durable));
  await createDatabase(urlOf(cluster, server.port, 'postgres'));
  if (options.durable) await trimBallast(cluster.ballast, options.logger);
  const guard = new AbortController();
  const guarded = keepRunning(cluster, server, { ...options, signal: guard.signal });
  return {
    url: urlOf(cluster, server.port, USER),
    pid: server.pid,
    async [Symbol.asyncDispose]() {
      guard.abort();
      await stop(await guarded);
    },
  };
}

/** Starts Postgres again on its port whenever it is gone; once aborted, gives the pid of the last one. */
async function keepRunning(
  cluster: Cluster,
  { pid: first, port }: Server,
  options: Pick<EmbeddedPostgresOptions, 'durable' | 'logger'> & { readonly signal: AbortSignal },
): Promise<number> {
  let pid = first;
  let failures = 0;
  while (!options.signal.aborted) {
    const pause = Math.min(MAX_RESTART_PAUSE_MS, LOOK_EVERY_MS * 2 ** failures);
    await delay(pause, undefined, { signal: options.signal, ref: false }).catch(() => {});
    if (options.durable) await trimBallast(cluster.ballast, options.logger);
    if (options.signal.aborted || isPostgres(pid)) continue;
    options.logger.error('Postgres is gone; it is started again');
    try {
      pid = (await start(cluster, port, options.durable)).pid;
      failures = 0;
    } catch (error) {
      failures = Math.min(failures + 1, 10);
      options.logger.error({ error }, 'Postgres did not start');
    }
  }
  return pid;
}

function urlOf(cluster: Cluster, port: number, database: string): string {
  return `postgres://${USER}:${cluster.password}@127.0.0.1:${port}/${database}`;
}

/**
 * The folder that holds the cluster. When Postgres must run as another user who cannot enter ours, it lies in the
 * system's folder and ours holds a link to it.
 */
async function openHome(folder: string, user: UnixUser | null): Promise<string> {
  await mkdir(dirname(folder), { recursive: true });
  const present = await lstat(folder).catch(() => null);
  if (present?.isSymbolicLink()) return realpath(folder);
  if (!user || canEnter(user, dirname(folder))) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    if (user) await chown(folder, user.uid, user.gid);
    return folder;
  }
  const elsewhere = join(SYSTEM_FOLDER, createHash('sha256').update(folder).digest('hex').slice(0, 16));
  await mkdir(elsewhere, { recursive: true, mode: 0o700 });
  await chmod(SYSTEM_FOLDER, 0o755);
  await chown(elsewhere, user.uid, user.gid);
  await symlink(elsewhere, folder);
  return elsewhere;
}

async function readPassword(home: string): Promise<string> {
  const file = join(home, 'password');
  await writeFile(file, randomBytes(24).toString('hex'), { flag: 'wx', mode: 0o600 }).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    },
  );
  return readFile(file, 'utf8');
}

/** initdb works beside the final place, so that one cut short leaves nothing that looks finished. */
async function initialise(cluster: Cluster, home: string): Promise<void> {
  if (existsSync(cluster.data)) return;
  const partial = join(home, `data.${randomUUID()}`);
  const passwordFile = join(home, `password.${randomUUID()}`);
  await writeFile(passwordFile, cluster.password, { mode: 0o600 });
  if (cluster.user) await chown(passwordFile, cluster.user.uid, cluster.user.gid);
  const args = ['-D', partial, '-U', USER, '-A', 'scram-sha-256', '--pwfile', passwordFile, '-E', 'UTF8'];
  const result = spawnSync(cluster.binaries.initdb, [...args, '--locale=C', '--no-instructions', '--no-sync'], {
    ...cluster.user,
    cwd: '/',
    encoding: 'utf8',
    env: { LC_ALL: 'C', PATH: '/usr/bin:/bin' },
    timeout: START_LIMIT_MS,
  });
  await rm(passwordFile, { force: true });
  if (result.status !== 0) {
    await rm(partial, { recursive: true, force: true });
    throw new Error(`initdb failed: ${(result.stderr || result.error?.message || '').trim().slice(-2000)}`);
  }
  await rename(partial, cluster.data);
}

interface Server {
  readonly pid: number;
  readonly port: number;
}

/** The postmaster that works on this folder, if it answers; one that does not answer is stopped. */
async function findRunning(cluster: Cluster): Promise<Server | null> {
  const file = join(cluster.data, 'postmaster.pid');
  if (!existsSync(file)) return null;
  const lines = (await readFile(file, 'utf8')).split('\n');
  const server = { pid: Number(lines[0]), port: Number(lines[3]) };
  if (!isPostgres(server.pid)) {
    await rm(file, { force: true });
    return null;
  }
  if (server.port > 0 && (await answers(urlOf(cluster, server.port, 'postgres')))) return server;
  await stop(server.pid);
  return null;
}

function isPostgres(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 1) return false;
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[0]?.endsWith('postgres') ?? false;
  } catch {
    const ps = spawnSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' });
    return /postgres/.test(ps.stdout ?? '');
  }
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000, query_timeout: 2_000 });
  client.on('error', () => {});
  try {
    await client.connect();
    await client.query('select 1');
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => {});
  }
}

const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '200',
  shared_buffers: '128MB',
  log_min_messages: 'warning',
  tcp_keepalives_idle: '10',
  tcp_keepalives_interval: '5',
  tcp_keepalives_count: '3',
  tcp_user_timeout: '20s',
};
/** Tests open many databases side by side. */
const NOT_DURABLE = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '900' };

async function start(cluster: Cluster, port: number, durable: boolean): Promise<Server> {
  const settings = { ...SETTINGS, ...(durable ? {} : NOT_DURABLE), port: String(port) };
  const log = await open(cluster.log, 'w', 0o600);
  // In a group of its own: Ctrl-C in a terminal must reach us alone, or Postgres would be gone before we drain.
  const child = spawn(
    cluster.binaries.postgres,
    ['-D', cluster.data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    { ...cluster.user, cwd: '/', env: { LC_ALL: 'C', TZ: 'UTC' }, stdio: ['ignore', log.fd, log.fd], detached: true },
  );
  let failed: string | null = null;
  child.once('error', (error) => {
    failed = error.message;
  });
  child.once('exit', (code, signal) => {
    failed ??= `it ended with ${signal ?? code}`;
  });
  child.unref();
  await log.close();
  const deadline = Date.now() + START_LIMIT_MS;
  while (failed === null && Date.now() < deadline) {
    if (await answers(urlOf(cluster, port, 'postgres'))) return { pid: child.pid ?? 0, port };
    await delay(25);
  }
  if (child.pid) await stop(child.pid);
  const tail = (await readFile(cluster.log, 'utf8')).trim().slice(-2000);
  throw new Error(`Postgres did not start (${failed ?? 'no answer within 30 s'}): ${tail}`);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done, fail) => server.once('error', fail).listen(0, '127.0.0.1', done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  if (!address || typeof address === 'string') throw new Error('no free port');
  return address.port;
}

async function createDatabase(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000, query_timeout: 30_000 });
  await client.connect();
  try {
    const found = await client.query('select 1 from pg_database where datname = $1', [USER]);
    if (found.rowCount === 0) await client.query(`create database ${USER}`);
  } finally {
    await client.end();
  }
}

/** Fast shutdown, then immediate, then kill; resolves when the postmaster is gone. */
async function stop(pid: number): Promise<void> {
  const steps: [NodeJS.Signals, number][] = [
    ['SIGINT', 10_000],
    ['SIGQUIT', 5_000],
    ['SIGKILL', 5_000],
  ];
  for (const [signal, patience] of steps) {
    try {
      process.kill(pid, signal);
    } catch {
      return;
    }
    const deadline = Date.now() + patience;
    while (Date.now() < deadline) {
      if (!isPostgres(pid)) return;
      await delay(10);
    }
  }
  throw new Error(`Postgres (pid ${pid}) does not end`);
}
