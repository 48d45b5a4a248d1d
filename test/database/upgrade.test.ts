/** What an earlier version has written is there, and works, after an upgrade. */
import { sql } from 'kysely';
import { v7 } from 'uuid';
import { expect, test } from 'vitest';
import { authenticate } from '../../src/auth/authenticate.ts';
import { hashToken, makeTokenText } from '../../src/auth/token-text.ts';
import { claimDeliveries } from '../../src/callbacks/claim-deliveries.ts';
import { listAudit } from '../../src/database/audit.ts';
import { migrate } from '../../src/database/migrate.ts';
import { readEvents } from '../../src/events/read-events.ts';
import { insertDelivery, insertFinishedBuild, insertProject } from '../callbacks/finished-builds.ts';
import { openEmptyDatabase } from '../support/database.ts';
import { migrateBefore } from '../support/earlier-database.ts';

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
