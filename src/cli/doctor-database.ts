/** Is this Postgres new enough, does LISTEN reach us, and is the schema the one that we need? */
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { connectionSettings } from '../database/database.ts';
import { type Finding, messageOf } from './finding.ts';
import { readMissingMigrations } from './reach-database.ts';

const OLDEST = 150_000;
/** A pooler in transaction mode takes LISTEN, and delivers nothing. */
const NOTIFY_WITHIN_MS = 2_000;

/** `directUrl`: of the same database, where `url` is that of a pooler. */
export async function checkDatabase(url: string, directUrl = url): Promise<Finding[]> {
  const listener = new pg.Client(connectionSettings(directUrl, 'slipway doctor'));
  const sender = new pg.Client(connectionSettings(url, 'slipway doctor'));
  for (const client of [listener, sender]) client.on('error', () => {});
  try {
    await listener.connect();
    await sender.connect();
    return [await checkVersion(sender), await checkListen(listener, sender), await checkMigrations(sender)];
  } catch (error) {
    const remedy = 'Check SLIPWAY_DATABASE_URL, and that the server runs and lets this machine in.';
    return [{ level: 'fail', name: 'database', message: messageOf(error), remedy }];
  } finally {
    await Promise.all([listener, sender].map((client) => client.end().catch(() => {})));
  }
}

async function checkVersion(client: pg.Client): Promise<Finding> {
  const { rows } = await client.query<{ number: string; text: string }>(
    "select current_setting('server_version_num') as number, current_setting('server_version') as text",
  );
  const isOld = Number(rows[0]?.number) < OLDEST;
  return {
    level: isOld ? 'fail' : 'ok',
    name: 'database',
    message: `Postgres ${rows[0]?.text}`,
    remedy: isOld ? 'Postgres 15 or newer is needed.' : null,
  };
}

async function checkListen(listener: pg.Client, sender: pg.Client): Promise<Finding> {
  const channel = `slipway_doctor_${randomUUID().replaceAll('-', '')}`;
  const arrived = new Promise<boolean>((resolve) => {
    const timer = setTimeout(() => resolve(false), NOTIFY_WITHIN_MS);
    listener.once('notification', () => {
      clearTimeout(timer);
      resolve(true);
    });
  });
  await listener.query(`listen ${channel}`);
  await sender.query(`notify ${channel}`);
  if (await arrived) return { level: 'ok', name: 'LISTEN', message: 'notifications arrive', remedy: null };
  const remedy =
    'Set SLIPWAY_DATABASE_DIRECT_URL to Postgres itself: a pooler in transaction mode loses notifications.';
  return { level: 'fail', name: 'LISTEN', message: 'notifications do not arrive', remedy };
}

async function checkMigrations(client: pg.Client): Promise<Finding> {
  const missing = await readMissingMigrations(client);
  if (missing.length === 0) return { level: 'ok', name: 'migrations', message: 'all applied', remedy: null };
  return {
    level: 'warn',
    name: 'migrations',
    message: `not applied: ${missing.join(', ')}`,
    remedy: 'Run slipway migrate.',
  };
}
