/**
 * Looks for planted secrets in everything that is stored: every row of every table, logs unpacked, files, the objects of
 * git repositories. Nothing is read whole, so it works after an hour of builds as well.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { promisify } from 'node:util';
import { zstdDecompress } from 'node:zlib';
import { sql } from 'kysely';
import type { Database } from '../../src/database/database.ts';
import { spellings } from '../e2e/find-secrets.ts';
import { unlessGone, walkFiles } from '../support/walk-files.ts';

const LOG_CHUNKS_AT_A_TIME = 200;
const decompress = promisify(zstdDecompress);

export interface Stores {
  readonly db: Database;
  /** With everything below them. */
  readonly folders: readonly string[];
  /** Paths of bare repositories. */
  readonly repositories: readonly string[];
}

/** Where one of the secrets stands, in any spelling; empty when nowhere. A place is a table, a build's log, a file. */
export async function findLeaks(stores: Stores, secrets: readonly string[]): Promise<readonly string[]> {
  const needles = secrets.flatMap(spellings);
  if (needles.length === 0) return [];
  const places = [...(await searchTables(stores.db, needles)), ...(await searchLogs(stores.db, needles))];
  for (const folder of stores.folders) places.push(...(await searchFiles(folder, needles)));
  for (const repository of stores.repositories) {
    if (await searchObjects(repository, needles)) places.push(`the objects of ${repository}`);
  }
  return places;
}

/** Rows as text, by Postgres itself: only the names of tables with a hit come back. */
async function searchTables(db: Database, needles: readonly string[]): Promise<string[]> {
  const pattern = needles.map((needle) => needle.replaceAll(/[^A-Za-z0-9]/g, '\\$&')).join('|');
  const tables = await sql<{ name: string }>`
    select format('%I.%I', n.nspname, c.relname) as name
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind = 'r' and n.nspname not in ('pg_catalog', 'information_schema')`.execute(db);
  const found: string[] = [];
  for (const { name } of tables.rows) {
    const { rows } = await sql`select from ${sql.raw(name)} t where t::text ~ ${pattern} limit 1`.execute(db);
    if (rows.length > 0) found.push(`table ${name}`);
  }
  return found;
}

async function searchLogs(db: Database, needles: readonly string[]): Promise<string[]> {
  const found = new Set<string>();
  let after = { build_id: '00000000-0000-0000-0000-000000000000', first_line: 0 };
  for (;;) {
    const chunks = await db
      .selectFrom('build_logs')
      .select(['build_id', 'first_line', 'content'])
      .where(sql<boolean>`(build_id, first_line) > (${after.build_id}, ${after.first_line})`)
      .orderBy('build_id')
      .orderBy('first_line')
      .limit(LOG_CHUNKS_AT_A_TIME)
      .execute();
    for (const chunk of chunks) {
      const text = await decompress(chunk.content);
      if (needles.some((needle) => text.includes(needle))) found.add(`the log of build ${chunk.build_id}`);
    }
    const last = chunks.at(-1);
    if (!last) return [...found];
    after = last;
  }
}

/** Files that are gone when they are read hold nothing; links are not followed. */
async function searchFiles(folder: string, needles: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for await (const path of walkFiles(folder)) {
    if (await unlessGone(holds(createReadStream(path), needles), false)) found.push(path);
  }
  return found;
}

async function searchObjects(repository: string, needles: readonly string[]): Promise<boolean> {
  const args = ['-C', repository, 'cat-file', '--batch-all-objects', '--batch', '--unordered', '--buffer'];
  const git = spawn('git', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(git, 'close');
  const hit = await holds(git.stdout, needles);
  // A reader that has found something leaves git in the middle of it.
  git.kill();
  await ended;
  return hit;
}

/** Also a text that two chunks share. */
async function holds(stream: AsyncIterable<Buffer>, needles: readonly string[]): Promise<boolean> {
  const overlap = Math.max(...needles.map((needle) => needle.length)) - 1;
  let rest = Buffer.alloc(0);
  for await (const chunk of stream) {
    const window = Buffer.concat([rest, chunk]);
    if (needles.some((needle) => window.includes(needle))) return true;
    rest = window.subarray(Math.max(0, window.length - overlap));
  }
  return false;
}
