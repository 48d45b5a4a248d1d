/** What an earlier version has written is there, and works, after an upgrade. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { v7 } from 'uuid';
import { expect, test } from 'vitest';
import { authenticate } from '../../src/auth/authenticate.ts';
import { hashToken, makeTokenText } from '../../src/auth/token-text.ts';
import { claimDeliveries } from '../../src/callbacks/claim-deliveries.ts';
import { migrateDatabase } from '../../src/cli/migrate-database.ts';
import { listAudit } from '../../src/database/audit.ts';
import { migrate } from '../../src/database/migrate.ts';
import { readEvents } from '../../src/events/read-events.ts';
import { toPublicId } from '../../src/std/public-id.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { insertDelivery, insertFinishedBuild, insertProject } from '../callbacks/finished-builds.ts';
import { Api } from '../schema/api.ts';
import { openEmptyDatabase, type TestDatabase } from '../support/database.ts';
import { type EarlierBuild, openEarlierQueue } from '../support/earlier-builds.ts';
import { migrateBefore } from '../support/earlier-database.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { checkQueue, claim } from '../support/queue.ts';
import { script } from '../support/script.ts';

test('tokens, the audit log, events and callbacks that are due survive an upgrade', async () => {
  await using database = await openEmptyDatabase();
  const { db } = database;
  await migrateBefore(db, '0005');
  const token = makeTokenText();
  const tokenId = v7();
  await sql`insert into api_tokens (id, name, hash, scopes, created_by)
            values (${tokenId}, 'bot', ${hashToken(token)}, '{admin}', 'test')`.execute(db);
  const projectId = await insertProject(db);
  await sql`insert into audit_log (actor, action, subject_type, subject_id, project_id)
            values ('test', 'createProject', 'project', ${projectId}, ${projectId})`.execute(db);
  const buildId = await insertFinishedBuild(db, { projectId, number: 1 });
  const events = JSON.stringify([{ type: 'QUEUED', data: {}, milestone: true }]);
  await sql`select append_build_events(${buildId}, null, ${events}::jsonb)`.execute(db);
  const delivery = await insertDelivery(db, { projectId, buildId, url: 'https://example.com/hook' });

  expect(await migrate(db)).toContain('0005_access');

  expect(await authenticate(db, `Bearer ${token}`)).toMatchObject({ tokenId, secretVersion: 1, scopes: ['admin'] });
  const filter = { projectIds: null, actor: null, action: null, subjectId: null, from: null, to: null };
  const page = { after: null, before: null, limit: 10, fromEnd: false, direction: 'desc' } as const;
  expect(await listAudit(db, filter, page)).toMatchObject([{ action: 'createProject', subjectId: projectId }]);
  await expect(sql`delete from audit_log`.execute(db)).rejects.toThrow('append-only');
  expect(await readEvents(db, { buildId, after: 0, limit: 10 })).toMatchObject([{ seq: 1, type: 'QUEUED' }]);
  expect(await claimDeliveries(db, { places: 8, perHost: 4, sending: [] })).toMatchObject([{ id: delivery }]);
  expect(await migrate(db)).toEqual([]);
});

/** A stack on a database in which the version before the queue has left these builds, upgraded. Their ids in their order. */
async function openUpgraded(builds: readonly EarlierBuild[]): Promise<{ stack: TestStack; ids: string[] }> {
  const ids: string[] = [];
  const open = async (): Promise<TestDatabase> => {
    const database = await openEmptyDatabase();
    await migrateBefore(database.db, '0016');
    const projectId = await insertProject(database.db);
    await using queue = await openEarlierQueue(database.db);
    for (const build of builds) ids.push(await queue.add(projectId, build));
    await migrateDatabase(database.url, createLogger('warn'));
    return database;
  };
  const stack = await openTestStack({}, open);
  return { stack, ids };
}

test('builds that waited or ran before there was the queue run once each, in their order, after an upgrade', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-upgrade-'));
  const marks = join(folder, 'marks');
  const prompt = (name: string) => script({ run: `echo ${name} >> ${marks}` }, { write: { path: name, content: 'x' } });
  const soon = new Date(Date.now() + 4_000);
  const { stack, ids } = await openUpgraded([
    { prompt: prompt('lost'), lost: true },
    { prompt: prompt('first') },
    { prompt: prompt('second') },
    { prompt: prompt('urgent'), priority: 50 },
    { prompt: prompt('delayed'), runAfter: soon },
    { prompt: prompt('held'), resumeAt: soon },
    { prompt: prompt('later'), runAfter: new Date('2099-01-01') },
  ]);
  const { db } = stack.orchestrator;
  try {
    await checkQueue(db);
    // Limits count what ran before.
    expect((await sql`select running from queue_state`.execute(db)).rows).toEqual([{ running: 1 }]);
    const later = ids.pop() ?? '';
    await stack.openWorker(1);
    const ended = await Promise.all(ids.map((id) => stack.finished(id, 40_000)));

    expect(ended.map(({ status, attemptNo }) => `${status} ${attemptNo}`)).toEqual(
      [2, 1, 1, 1, 1, 2].map((attemptNo) => `COMPLETED ${attemptNo}`),
    );
    const ran = (await readFile(marks, 'utf8')).trim().split('\n');
    expect(ran.toSorted()).toEqual(['delayed', 'first', 'held', 'lost', 'second', 'urgent']);
    expect(ran.filter((name) => ['urgent', 'first', 'second'].includes(name))).toEqual(['urgent', 'first', 'second']);
    for (const id of ids.slice(4)) {
      const started = (await readEvents(db, { buildId: id, after: 0, limit: 100 })).find(
        ({ type }) => type === 'STARTED',
      );
      expect(started?.at.getTime()).toBeGreaterThanOrEqual(soon.getTime());
    }
    const waits = `query ($id: ID!) { build(id: $id) { status waitingReason { code } spec { runsOn concurrencyKey } } }`;
    const variables = { id: toPublicId('build', later) };
    expect(await new Api(stack.orchestrator).data(waits, { variables })).toEqual({
      build: { status: 'PENDING', waitingReason: { code: 'RUN_AFTER' }, spec: { runsOn: [], concurrencyKey: null } },
    });
    await checkQueue(db);
    const { rows } = await sql`select from pgboss.job where name = 'builds'`.execute(db);
    expect(rows).toEqual([]);
  } finally {
    await stack[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  }
});

test('limits of credentials count builds that are older than the queue', async () => {
  const claude = { prompt: 'Work.', provider: 'claude-code' };
  const { stack, ids } = await openUpgraded([{ ...claude, lost: true }, claude]);
  const { db } = stack.orchestrator;
  try {
    const api = new Api(stack.orchestrator);
    const limit = (maxRunning: number | null) =>
      api.data(`mutation { setCredentialLimit(input: { name: "key", maxRunning: ${maxRunning} }) { __typename } }`);
    await api.data(`mutation { setCredential(input: {
      name: "key", modelApiKey: { variable: "ANTHROPIC_API_KEY", key: "sk-ant-example-key" } }) { __typename } }`);
    expect(await limit(0)).toMatchObject({ setCredentialLimit: { __typename: 'SetCredentialLimitPayload' } });
    await sql`select queue_put_back(${ids[0]}, now())`.execute(db);
    const take = () => claim(db, { kinds: ['build'], labels: ['provider:claude-code'] });
    expect(await take()).toEqual([]);
    await checkQueue(db);
    await limit(null);
    expect(await take()).toEqual(ids);
    await checkQueue(db);
  } finally {
    await stack[Symbol.asyncDispose]();
  }
});
