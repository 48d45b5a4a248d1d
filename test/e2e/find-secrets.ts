/** Looks for secrets where none may be. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';

/** A secret in the spellings in which it could leak. */
export function spellings(secret: string): string[] {
  const bytes = Buffer.from(secret);
  // The last characters of base64 depend on what follows.
  const whole = bytes.subarray(0, bytes.length - (bytes.length % 3)).toString('base64');
  return [secret, encodeURIComponent(secret), whole, bytes.toString('hex')];
}

/** Every row of every table of ours and of the queue, as text. */
export async function dumpDatabase(url: string): Promise<string> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const tables = await client.query<{ name: string }>(
      `select format('%I.%I', schemaname, tablename) as name from pg_tables
        where schemaname not in ('pg_catalog', 'information_schema')`,
    );
    const dumps: string[] = [];
    for (const { name } of tables.rows) {
      const rows = await client.query<{ text: string }>(`select t::text as text from ${name} t`);
      dumps.push(...rows.rows.map(({ text }) => `${name} ${text}`));
    }
    return dumps.join('\n');
  } finally {
    await client.end();
  }
}

/** The files below the folder that hold any of the texts. Files that are gone when they are read hold nothing. */
export async function findInFiles(folder: string, texts: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const content = await readFile(path).catch(() => Buffer.alloc(0));
    if (texts.some((text) => content.includes(text))) found.push(path);
  }
  return found;
}
