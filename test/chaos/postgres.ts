/** A Postgres of the run's own that can be killed and started again, with its write-ahead log on a disk that can be full. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chown, cp, mkdir, open, readdir, readFile, realpath, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { migrateDatabase } from '../../src/cli/migrate-database.ts';
import { openEmbeddedPostgres } from '../../src/database/embedded-postgres.ts';
import { locatePostgres, type PostgresBinaries } from '../../src/database/postgres-binaries.ts';
import { type UnixUser, unprivilegedUser } from '../../src/database/unprivileged-user.ts';
import type { Logger } from '../../src/telemetry/logger.ts';

const START_LIMIT_MS = 30_000;
const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '250',
  shared_buffers: '128MB',
  // The machine does not crash, only its processes do.
  fsync: 'off',
  // So that the log fits on its small disk.
  max_wal_size: '64MB',
  min_wal_size: '32MB',
  wal_keep_size: '0',
  tcp_keepalives_idle: '10',
  tcp_keepalives_interval: '5',
  tcp_keepalives_count: '3',
  tcp_user_timeout: '20s',
};

export class ChaosPostgres implements AsyncDisposable {
  readonly #binaries: PostgresBinaries;
  readonly #user: UnixUser | null;
  readonly #data: string;
  readonly #log: string;
  /** Straight to it, past every proxy. */
  readonly url: string;
  #child: ChildProcess | null = null;

  private constructor(parts: {
    binaries: PostgresBinaries;
    user: UnixUser | null;
    data: string;
    log: string;
    url: string;
  }) {
    this.#binaries = parts.binaries;
    this.#user = parts.user;
    this.#data = parts.data;
    this.#log = parts.log;
    this.url = parts.url;
  }

  /** Initialises and migrates it in `folder`, and starts it. `walFolder`: an empty folder for its write-ahead log. */
  static async open(options: {
    folder: string;
    log: string;
    walFolder: string | null;
    logger: Logger;
  }): Promise<ChaosPostgres> {
    const { logger } = options;
    const user = await unprivilegedUser();
    const binaries = await locatePostgres(user);
    const url = await initialise(options.folder, logger);
    const data = join(await realpath(options.folder), 'data');
    if (options.walFolder) await moveLog(join(data, 'pg_wal'), options.walFolder, user);
    const postgres = new ChaosPostgres({ binaries, user, data, log: options.log, url });
    await postgres.start();
    return postgres;
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  get running(): boolean {
    return this.#child !== null && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Resolves when it takes connections. Throws when it ends instead, for example because its disk is full. */
  async start(): Promise<void> {
    if (this.running) return;
    const settings = { ...SETTINGS, port: String(this.port) };
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    await using log = await open(this.#log, 'a');
    const child = spawn(this.#binaries.postgres, ['-D', this.#data, ...flags], {
      ...this.#user,
      ...{ cwd: '/', env: { LC_ALL: 'C', TZ: 'UTC' }, stdio: ['ignore', log.fd, log.fd], detached: true },
    });
    this.#child = child;
    const deadline = performance.now() + START_LIMIT_MS;
    while (this.running && performance.now() < deadline) {
      const status = await readFile(join(this.#data, 'postmaster.pid'), 'utf8').catch(() => '');
      if (status.startsWith(`${child.pid}\n`) && status.includes('ready')) return;
      await delay(20);
    }
    await this.stop('SIGKILL');
    throw new Error('Postgres does not start');
  }

  /** SIGQUIT is the immediate shutdown: no goodbye, recovery at the next start. */
  async stop(signal: 'SIGQUIT' | 'SIGKILL' = 'SIGQUIT'): Promise<void> {
    const child = this.#child;
    if (!child || !this.running) return;
    child.kill(signal);
    await once(child, 'exit');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

async function initialise(folder: string, logger: Logger): Promise<string> {
  await using postgres = await openEmbeddedPostgres({ folder, durable: false, logger });
  await migrateDatabase(postgres.url, logger);
  return postgres.url;
}

async function moveLog(from: string, to: string, user: UnixUser | null): Promise<void> {
  const place = join(to, 'pg_wal');
  await mkdir(place, { mode: 0o700 });
  await cp(from, place, { recursive: true });
  await rm(from, { recursive: true });
  await symlink(place, from);
  if (user) await chownAll(place, user);
}

async function chownAll(folder: string, user: UnixUser): Promise<void> {
  await chown(folder, user.uid, user.gid);
  for (const name of await readdir(folder, { recursive: true })) await chown(join(folder, name), user.uid, user.gid);
}
