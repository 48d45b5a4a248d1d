/** A real PgBouncer in transaction mode before a test database. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { unprivilegedUser } from '../../src/database/unprivileged-user.ts';
import { freePort } from './free-port.ts';
import { waitFor } from './wait-for.ts';

const PROGRAM = '/usr/sbin/pgbouncer';

/** Why there is none here; null when there is one. The reason is printed. */
export function lacksPgBouncer(): boolean {
  if (existsSync(PROGRAM)) return false;
  console.log('skipped: no pgbouncer (Debian: apt-get install pgbouncer)');
  return true;
}

export interface PgBouncer extends AsyncDisposable {
  /** Of the same database, through the pooler. */
  readonly url: string;
}

/** `sessions`: how many the server sees of it. */
export async function startPgBouncer(databaseUrl: string, sessions = 4): Promise<PgBouncer> {
  const server = new URL(databaseUrl);
  const folder = await mkdtemp(join(tmpdir(), 'slipway-pgbouncer-'));
  await chmod(folder, 0o755);
  const port = await freePort();
  const users = join(folder, 'users.txt');
  await writeFile(users, `"${server.username}" "${server.password}"\n`);
  const settings = [
    '[databases]',
    `* = host=127.0.0.1 port=${server.port}`,
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${port}`,
    'unix_socket_dir =',
    'auth_type = plain',
    `auth_file = ${users}`,
    'pool_mode = transaction',
    `default_pool_size = ${sessions}`,
  ];
  await writeFile(join(folder, 'pgbouncer.ini'), `${settings.join('\n')}\n`);
  // It refuses to run as root.
  const child = spawn(PROGRAM, ['-q', join(folder, 'pgbouncer.ini')], {
    ...(await unprivilegedUser()),
    cwd: '/',
    stdio: 'ignore',
  });
  const url = new URL(databaseUrl);
  url.port = String(port);
  await waitFor(() => answers(url.href), { what: 'pgbouncer' });
  return {
    url: url.href,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 1_000 });
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
