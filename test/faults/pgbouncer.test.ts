/** PgBouncer in transaction mode: refused where it cannot work, and of use where it can. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { createApiToken } from '../../src/auth/api-token.ts';
import { createClient } from '../../src/client/client.ts';
import { CreateProjectDocument, StartBuildDocument } from '../../src/client/generated.ts';
import { watchBuild } from '../../src/client/watch-build.ts';
import { startSlipway, upAnswer } from '../cli/slipway-process.ts';
import { openTestDatabase } from '../support/database.ts';
import { lacksPgBouncer, startPgBouncer } from '../support/pgbouncer.ts';
import { script } from '../support/script.ts';

const BUILDS = 6;
const STEPS = 20;

test.skipIf(lacksPgBouncer())(
  'alone it is refused, with advice; beside a direct URL all works through it',
  async () => {
    await using opened = new AsyncDisposableStack();
    const database = opened.use(await openTestDatabase());
    const folder = await mkdtemp(join(tmpdir(), 'slipway-pooled-'));
    opened.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
    const pooler = opened.use(await startPgBouncer(database.url));
    const environment = {
      SLIPWAY_DATABASE_URL: pooler.url,
      SLIPWAY_DATA: folder,
      SLIPWAY_PORT: '0',
      SLIPWAY_LOG_LEVEL: 'silent',
      SLIPWAY_DEFAULT_PROVIDER: 'scripted',
      SLIPWAY_SANDBOX: 'none',
      SLIPWAY_MASTER_KEY: randomBytes(32).toString('base64'),
    };
    const begun = performance.now();
    const alone = startSlipway(['work', '--json'], environment);
    expect(await alone.ended).toBe(1);
    console.log(`refused after ${Math.round(performance.now() - begun)} ms`);
    const { error } = JSON.parse(alone.stderr) as { error: { code: string; hints: string[] } };
    expect(error.code).toBe('DATABASE_DEAF');
    expect(error.hints.join(' ')).toContain('SLIPWAY_DATABASE_DIRECT_URL');

    const up = startSlipway(['up', '--json'], { ...environment, SLIPWAY_DATABASE_DIRECT_URL: database.url });
    opened.defer(async () => {
      up.child.kill('SIGKILL');
      await up.ended;
    });
    const { url } = await upAnswer(up);
    const { db } = database;
    const options = { name: 'test', scopes: ['admin'] as const, projectIds: null, expiresAt: null, createdBy: 'test' };
    const { token } = await createApiToken(db, options);
    const client = opened.use(createClient({ url, token }));
    const runOne = async (number: number) => {
      const { createProject } = await client.request(CreateProjectDocument, { input: { name: `Project ${number}` } });
      if (createProject.__typename !== 'CreateProjectPayload') throw new Error(JSON.stringify(createProject));
      const steps = Array.from({ length: STEPS }, (_, index) => [{ print: `word ${index}` }, { wait: 0.02 }]).flat();
      const prompt = script(...steps, { write: { path: 'a', content: 'a' } });
      const input = { projectId: createProject.project.id, spec: { prompt } };
      const { startBuild } = await client.request(StartBuildDocument, { input });
      if (startBuild.__typename !== 'StartBuildPayload') throw new Error(JSON.stringify(startBuild));
      const seen = [];
      for await (const event of watchBuild(client, startBuild.build.id)) seen.push(event);
      return seen;
    };
    const watched = await Promise.all(Array.from({ length: BUILDS }, (_, index) => runOne(index)));
    for (const seen of watched) {
      expect(seen.map(({ cursor }) => Number(cursor))).toEqual(seen.map((_, index) => index + 1));
      expect(seen.at(-1)).toMatchObject({ type: 'FINISHED', status: 'COMPLETED' });
    }
    // The pool went through the pooler: as many sessions as it may have, whatever the pool's size.
    const { rows } = await sql<{ name: string; count: number }>`
    select application_name as name, count(*) from pg_stat_activity
     where datname = current_database() and application_name in ('slipway', 'slipway listen') group by 1`.execute(db);
    console.log(`sessions of the server: ${rows.map(({ name, count }) => `${name} ${count}`).join(', ')}`);
    expect(rows.find(({ name }) => name === 'slipway listen')?.count).toBe(1);
    up.child.kill('SIGTERM');
    expect(await up.ended).toBe(0);
  },
  120_000,
);
