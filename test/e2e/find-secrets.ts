/** Looks for secrets where none may be. */
import { access, readFile } from 'node:fs/promises';
import pg from 'pg';
import { unlessGone, walkFiles } from '../support/walk-files.ts';

/** A secret in the spellings in which it could leak: as it is, in a URL, in hex, and inside of anything in base64. */
export function spellings(secret: string): string[] {
  const bytes = Buffer.from(secret);
  // Its first and last characters in base64 depend on what stands around it.
  const encoded = [0, 1, 2].map((offset) => {
    const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64');
    return text.slice(Math.ceil((offset * 8) / 6), Math.floor(((offset + bytes.length) * 8) / 6));
  });
  return [...new Set([secret, encodeURIComponent(secret), ...encoded, bytes.toString('hex')])];
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

/** The files below the folder that hold any of the texts. What is gone when it is read holds nothing. */
export async function findInFiles(folder: string, texts: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  await access(folder);
  for await (const path of walkFiles(folder)) {
    const content = await unlessGone(readFile(path), Buffer.alloc(0));
    if (texts.some((text) => content.includes(text))) found.push(path);
  }
  return found;
}
