/** Credentials of a database from before there were kinds go on as they were. */
import { sql } from 'kysely';
import { v7 } from 'uuid';
import { expect, test } from 'vitest';
import { readCredentials } from '../../src/credentials/read-credentials.ts';
import { seal } from '../../src/credentials/seal.ts';
import { migrate } from '../../src/database/migrate.ts';
import { webOrigin } from '../../src/git/remote-url.ts';
import { openEmptyDatabase } from '../support/database.ts';
import { migrateBefore } from '../support/earlier-database.ts';
import { newKeySource, newKeyText, openTestKeyring } from './test-key.ts';

const URLS = [
  'https://git.example/a.git',
  'HTTPS://Git.Example:443/b.git',
  'http://git.example:80/c',
  'http://10.0.0.1:8080/d',
];

test('a credential of each URL is bound to its origin, keeps its key and opens', async () => {
  await using database = await openEmptyDatabase();
  const { db } = database;
  await migrateBefore(db, '0005');
  const text = newKeyText();
  const [key] = (await newKeySource(text)).keys;
  if (!key) throw new Error('there is a key');
  const projects = URLS.map((url, index) => ({ id: v7(), url, slug: `p${index}` }));
  for (const { id, url, slug } of projects) {
    const row = { id, slug, name: slug, repository_url: url, default_branch: 'main', created_by: 'test' };
    await db.insertInto('projects').values(row).execute();
    const sealed = await seal(key, { text: `{"username":"u","password":"of ${slug}"}`, context: `${id}|git` });
    await sql`insert into credentials (id, project_id, name, sealed) values (${v7()}, ${id}, 'git', ${sealed})`.execute(
      db,
    );
  }
  await migrate(db);
  const keyring = await openTestKeyring(db, text);
  for (const { id, url, slug } of projects) {
    const { opened: found, unreadable } = await readCredentials({ db, keyring }, { projectId: id });
    expect(unreadable).toEqual([]);
    expect(found).toMatchObject([
      { name: 'git', kind: 'GIT', target: webOrigin(url), keyId: key.id, value: expect.stringContaining(`of ${slug}`) },
    ]);
  }
});
