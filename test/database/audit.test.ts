import fc from 'fast-check';
import { type CompiledQuery, Kysely, PostgresDialect, sql } from 'kysely';
import pg from 'pg';
import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AuditEntry, type AuditFilter, audit, auditKey, listAudit } from '../../src/database/audit.ts';
import { connectionSettings, type Database } from '../../src/database/database.ts';
import type { Keyset } from '../../src/database/keyset.ts';
import type { Tables } from '../../src/database/tables.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database[Symbol.asyncDispose]());

const ACTORS = ['token_a', 'token_b', 'system'];
const ACTIONS = ['startBuild', 'cancelBuild'];
const PROJECTS = [v7(), v7(), v7()];
const SUBJECTS = [v7(), v7(), v7(), v7()];
const NO_FILTER: AuditFilter = { projectIds: null, actor: null, action: null, subjectId: null, from: null, to: null };
const FIRST: Keyset = { direction: 'desc', after: null, before: null, limit: 20, fromEnd: false };

const write = (entry: Partial<AuditEntry> = {}) =>
  database.db.transaction().execute((trx) =>
    audit(trx, {
      actor: 'system',
      action: 'startBuild',
      subjectType: 'build',
      subjectId: v7(),
      projectId: null,
      ...entry,
    }),
  );

describe('the audit log', () => {
  it.each([
    ['update', sql`update audit_log set actor = 'nobody'`],
    ['update of no row', sql`update audit_log set actor = 'nobody' where false`],
    ['delete', sql`delete from audit_log`],
    ['truncate', sql`truncate audit_log`],
    ['truncate of several tables', sql`truncate audit_log, delivery_attempts`],
    [
      'upsert',
      sql`insert into audit_log overriding system value select * from audit_log on conflict (at, id)
                   do update set actor = 'nobody'`,
    ],
    ['merge', sql`merge into audit_log a using audit_log b on a.id = b.id when matched then delete`],
  ])('refuses every %s, also of its owner and where triggers are off', async (_what, statement) => {
    const { db } = database;
    await write();
    const before = await sql`select * from audit_log order by id`.execute(db);
    const owner = await sql<{ is: boolean }>`
      select tableowner = current_user as is from pg_tables where tablename = 'audit_log'`.execute(db);
    expect(owner.rows).toEqual([{ is: true }]);
    for (const role of ['origin', 'replica']) {
      const change = db.transaction().execute(async (trx) => {
        await sql`select set_config('session_replication_role', ${role}, true)`.execute(trx);
        await statement.execute(trx);
      });
      await expect(change).rejects.toThrow('audit_log is append-only');
    }
    expect(await sql`select * from audit_log order by id`.execute(db)).toEqual(before);
  });

  it('is written with what it records, or not at all', async () => {
    const subjectId = v7();
    const work = database.db.transaction().execute(async (trx) => {
      const entry = {
        actor: 'system',
        action: 'startBuild',
        subjectType: 'build',
        subjectId,
        projectId: null,
      } as const;
      await audit(trx, entry);
      throw new Error('undone');
    });
    await expect(work).rejects.toThrow('undone');
    expect(await listAudit(database.db, { ...NO_FILTER, subjectId }, FIRST)).toEqual([]);
  });
});

const orNull = <T>(values: readonly T[]) => fc.option(fc.constantFrom(...values), { nil: null });
/** Entries come about once a minute, in an order that is not that of their ids, and some at the same moment. */
const START = Date.UTC(2026, 0, 1);
const moment = fc.option(
  fc.integer({ min: -20, max: 220 }).map((minute) => new Date(START + minute * 60_000)),
  {
    nil: null,
  },
);

describe('a page of the audit log', () => {
  beforeAll(async () => {
    await sql`
      insert into audit_log (at, actor, action, subject_type, subject_id, project_id)
      select to_timestamp(${START / 1_000}::float8 + 60 * (n - n * 7919 % 9)),
             (${ACTORS}::text[])[1 + n % 3], (${ACTIONS}::text[])[1 + n % 2], 'build',
             (${SUBJECTS}::uuid[])[1 + n % 4], (${[...PROJECTS, null]}::uuid[])[1 + n / 2 % 4]
        from generate_series(0, 199) as n`.execute(database.db);
  });

  it('has what the filter names, newest first, and pages join without gap or repetition', async () => {
    const { db } = database;
    const everything = await listAudit(db, NO_FILTER, { ...FIRST, limit: 1_000 });
    const times = everything.map(({ at }) => at.getTime());
    expect(times).toEqual(times.toSorted((a, b) => b - a));
    const filters = fc.record<AuditFilter>({
      projectIds: fc.option(fc.subarray(PROJECTS), { nil: null }),
      actor: orNull(ACTORS),
      action: orNull(ACTIONS),
      subjectId: orNull(SUBJECTS),
      from: moment,
      to: moment,
    });
    await fc.assert(
      fc.asyncProperty(filters, fc.integer({ min: 5, max: 60 }), fc.boolean(), async (filter, limit, fromEnd) => {
        const found: string[] = [];
        for (let page = 0; page < 50; page += 1) {
          const cursor = found.at(fromEnd ? 0 : -1) ?? null;
          const keyset = { ...FIRST, limit, fromEnd, [fromEnd ? 'before' : 'after']: cursor };
          const keys = (await listAudit(db, filter, keyset)).map(auditKey);
          found[fromEnd ? 'unshift' : 'push'](...keys);
          if (keys.length < limit) break;
        }
        const wanted = everything.filter(
          (entry) =>
            (filter.projectIds === null || filter.projectIds.includes(entry.projectId ?? '')) &&
            (filter.actor === null || entry.actor === filter.actor) &&
            (filter.action === null || entry.action === filter.action) &&
            (filter.subjectId === null || entry.subjectId === filter.subjectId) &&
            (filter.from === null || entry.at >= filter.from) &&
            (filter.to === null || entry.at < filter.to),
        );
        expect(found).toEqual(wanted.map(auditKey));
      }),
      { numRuns: 150 },
    );
  });
});

describe('with a hundred thousand entries', () => {
  beforeAll(async () => {
    await sql`
      insert into audit_log (at, actor, action, subject_type, subject_id, project_id)
      select now() - make_interval(secs => 100000 - n), 'token_' || n % 500, case when n % 40 < 30 then 'startBuild' else 'action' || n % 40 end, 'build',
             gen_random_uuid(), md5((n % 300)::text)::uuid
        from generate_series(1, 100000) as n`.execute(database.db);
    await sql`analyze audit_log`.execute(database.db);
  });

  const hoursAgo = (hours: number) => new Date(Date.now() - hours * 3_600_000);

  it.each<[string, Partial<AuditFilter>]>([
    ['nothing', {}],
    ['an actor', { actor: 'token_7' }],
    ['an action', { action: 'action37' }],
    ['what nearly all entries say', { action: 'startBuild' }],
    ['what nearly all entries of yesterday say', { action: 'startBuild', to: hoursAgo(20) }],
    ['a subject', { subjectId: v7() }],
    ['a project', { projectIds: ['8f14e45f-ceea-167a-5a36-dedd4bea2543'] }],
    ['the last hour', { from: hoursAgo(1) }],
    ['an hour of yesterday', { from: hoursAgo(21), to: hoursAgo(20) }],
    ['everything before yesterday', { to: hoursAgo(26) }],
    ['an actor of yesterday', { actor: 'token_7', to: hoursAgo(20) }],
  ])('a page of %s reads few blocks', async (_what, filter) => {
    const blocks = await blocksOf((db) => listAudit(db, { ...NO_FILTER, ...filter }, FIRST));
    expect(blocks).toBeLessThan(150);
  });
});

/** Blocks of 8 KiB that the statements of `work` touch. */
async function blocksOf(work: (db: Database) => Promise<unknown>): Promise<number> {
  const pool = new pg.Pool({ ...connectionSettings(database.url, 'explain'), max: 1 });
  const queries: CompiledQuery[] = [];
  const db: Database = new Kysely<Tables>({
    dialect: new PostgresDialect({ pool }),
    log: ({ query }) => void queries.push(query),
  });
  await work(db);
  let blocks = 0;
  for (const query of queries) {
    const explain = `explain (analyze, buffers, format json) ${query.sql}`;
    const { rows } = await pool.query<{ 'QUERY PLAN': { Plan: Record<string, number> }[] }>(explain, [
      ...query.parameters,
    ]);
    const plan = rows[0]?.['QUERY PLAN'][0]?.Plan ?? {};
    blocks += (plan['Shared Hit Blocks'] ?? Number.NaN) + (plan['Shared Read Blocks'] ?? Number.NaN);
  }
  await db.destroy();
  return blocks;
}
