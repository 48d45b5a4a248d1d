/** Every mutation leaves its entry, in the transaction in which it does its work; and the query that reads them. */
import { sql } from 'kysely';
import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { schema } from '../../schema/index.ts';
import { createApiToken } from '../../src/auth/api-token.ts';
import { toPublicId } from '../../src/std/public-id.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { Api, viewer } from './api.ts';
import { AUDIT_CASES, newTask, RECORDED_BY_TASKS } from './audit-cases.ts';

let stack: TestStack;
let api: Api;

beforeAll(async () => {
  stack = await openTestStack();
  api = new Api(stack.orchestrator);
});
afterAll(() => stack[Symbol.asyncDispose]());

/** Until it is disposed of, the audit log takes nothing. */
async function refuseEntries(): Promise<AsyncDisposable> {
  const { db } = stack.orchestrator;
  await sql`create function refuse_audit() returns trigger language plpgsql as
            $$ begin raise exception 'no entry today'; end $$`.execute(db);
  await sql`create trigger refuse_audit before insert on audit_log execute function refuse_audit()`.execute(db);
  return {
    async [Symbol.asyncDispose]() {
      await sql`drop function refuse_audit cascade`.execute(db);
    },
  };
}

/** Every row of every table, as one text. */
async function snapshot(): Promise<string> {
  const { db } = stack.orchestrator;
  const { rows: tables } = await sql<{ schema: string; name: string }>`
    select schemaname as schema, tablename as name from pg_tables
     where schemaname in ('public', 'pgboss') order by 1, 2`.execute(db);
  const states: string[] = [];
  for (const { schema, name } of tables) {
    const table = sql.table(`${schema}.${name}`);
    const { rows } = await sql<{ state: string | null }>`
      select md5(string_agg(t::text, ',' order by t::text)) as state from ${table} as t`.execute(db);
    states.push(`${schema}.${name} ${rows[0]?.state}`);
  }
  return states.join('\n');
}

describe('every mutation', () => {
  it('has a case', () => {
    const cases = [...Object.keys(AUDIT_CASES), ...RECORDED_BY_TASKS];
    expect(cases.toSorted()).toEqual(Object.keys(schema.getMutationType()?.getFields() ?? {}).toSorted());
  });

  it.each(Object.keys(AUDIT_CASES))('%s does nothing that it cannot record, and records it once', async (name) => {
    const { db } = stack.orchestrator;
    const source = `mutation { result: ${name}(input: { ${await AUDIT_CASES[name]?.(stack)} }) { __typename } }`;
    const who = viewer();
    {
      await using _ = await refuseEntries();
      const before = await snapshot();
      const failed = await api.run(source, { viewer: who });
      expect(failed.errors[0]?.message).toBe('no entry today');
      expect(await snapshot()).toBe(before);
    }

    const { result } = await api.data(source, { viewer: who });
    expect(result.__typename).toMatch(/Payload$/);
    const entries = await db.selectFrom('audit_log').selectAll().where('actor', '=', who.actor).execute();
    // Of createAndBuild the project and the build.
    expect(entries.map(({ action }) => action)).toEqual(name === 'createAndBuild' ? [name, name] : [name]);
    expect(JSON.stringify(entries)).not.toContain('x'.repeat(20));
  });
});

describe("a worker's words on a task", () => {
  it('are events of the task in place of entries', async () => {
    const { type, task } = await newTask(stack);
    const said: string[] = [];
    const who = viewer();
    const say = async (name: string, input: string, fields: string) => {
      said.push(name);
      const payload = `${name.charAt(0).toUpperCase()}${name.slice(1)}Payload`;
      const source = `mutation { result: ${name}(input: { ${input} }) { ... on ${payload} { ${fields} } } }`;
      return (await api.data(source, { viewer: who })).result;
    };
    const lease = async () => {
      const { claim } = await say(
        'claimTask',
        `workerName: "w", types: ["${type}"]`,
        'claim { task { id } leaseToken }',
      );
      expect(claim.task.id).toBe(task);
      return `taskId: "${task}", leaseToken: "${claim.leaseToken}"`;
    };
    {
      // A word that would write an entry fails.
      await using _ = await refuseEntries();
      const first = await lease();
      await say('heartbeatTask', `${first}, progress: { percent: 1 }`, 'leaseUntil');
      await say('releaseTask', first, 'task { id }');
      await say('failTask', `${await lease()}, reason: "once"`, 'task { id }');
      const { task: ended } = await say('completeTask', await lease(), 'task { status }');
      expect(ended).toEqual({ status: 'COMPLETED' });
    }
    expect([...new Set(said)].toSorted()).toEqual(RECORDED_BY_TASKS);
    const source = `{ task(id: "${task}") { events { nodes { type data } } } }`;
    const { nodes } = (await api.data(source)).task.events;
    const claimed = { type: 'CLAIMED', data: { claimedBy: 'test/w' } };
    expect(nodes).toMatchObject([
      { type: 'QUEUED' },
      claimed,
      { type: 'PROGRESS', data: { progress: { percent: 1 } } },
      { type: 'RELEASED', data: { claimedBy: 'test/w' } },
      claimed,
      { type: 'RETRY_SCHEDULED', data: { reason: 'once' } },
      claimed,
      { type: 'FINISHED', data: { status: 'COMPLETED' } },
    ]);
  });
});

describe('the query', () => {
  const FIELDS = 'id actor actorName action subjectType subjectId project { slug } detail';
  const list = async (filter: string, options = {}) =>
    (await api.data(`{ auditLog(filter: { ${filter} }) { nodes { ${FIELDS} } } }`, options)).auditLog.nodes;

  it('says who did what to what, newest first', async () => {
    const { id, slug } = await stack.createProject();
    const rights = { scopes: ['admin'], projectIds: null, expiresAt: null, createdBy: 'slipway up' } as const;
    const token = await createApiToken(stack.orchestrator.db, { name: 'the bot', ...rights });
    const actor = toPublicId('token', token.id);
    const project = toPublicId('project', id);
    const input = `input: { id: "${project}", name: "Other" }`;
    await api.data(`mutation { updateProject(${input}) { __typename } }`, { viewer: viewer({ actor }) });
    const changed = {
      id: expect.stringMatching(/^\d+$/),
      actor,
      actorName: 'the bot',
      action: 'updateProject',
      subjectType: 'project',
      subjectId: project,
      project: { slug },
      detail: { changed: ['name'] },
    };
    const made = { ...changed, actor: 'test', actorName: null, action: 'createProject', detail: {} };
    expect(await list(`projectId: "${project}"`)).toEqual([changed, made]);
    expect(await list(`subjectId: "${project}", action: "createProject"`)).toEqual([made]);
    expect(await list(`actor: "${actor}"`)).toEqual([changed]);
    expect(await list(`subjectId: "${actor}"`)).toMatchObject([
      {
        actor: 'slipway up',
        action: 'createApiToken',
        subjectType: 'token',
        project: null,
        detail: { name: 'the bot' },
      },
    ]);
  });

  it('finds a range of time', async () => {
    const { id } = await stack.createProject();
    const subject = `subjectId: "${toPublicId('project', id)}"`;
    const [from, to] = ['2000-01-01T00:00:00Z', '2001-01-01T00:00:00Z'];
    expect(await list(`${subject}, at: { from: "${from}" }`)).toHaveLength(1);
    expect(await list(`${subject}, at: { from: "${from}", to: "${to}" }`)).toEqual([]);
  });

  it.each(['build_1', 'worker_0199f3a0000070008000000000000000', 'nonsense', ''])('finds nothing of %j', async (id) => {
    expect(await list(`subjectId: "${id}"`)).toEqual([]);
  });

  it('pages, in both directions', async () => {
    const read = async (args: string) =>
      (
        await api.data(`{ auditLog(${args}) { edges { cursor node { id } }
      pageInfo { hasNextPage hasPreviousPage endCursor startCursor } } }`)
      ).auditLog;
    const all = (await read('first: 100')).edges.map(({ node }: { node: { id: string } }) => node.id);
    const first = await read('first: 3');
    const second = await read(`first: 2, after: "${first.pageInfo.endCursor}"`);
    const back = await read(`last: 3, before: "${second.pageInfo.startCursor}"`);
    const ids = [first, second, back].map(({ edges }) => edges.map(({ node }: { node: { id: string } }) => node.id));
    expect(ids).toEqual([all.slice(0, 3), all.slice(3, 5), all.slice(0, 3)]);
    expect(first.pageInfo).toMatchObject({ hasNextPage: true, hasPreviousPage: false });
    for (const cursor of ['x', '1', '1.', '-1.1', '9'.repeat(16), `1.${'9'.repeat(16)}`]) {
      const { errors } = await api.run(`{ auditLog(after: "${cursor}") { nodes { id } } }`);
      expect(errors[0]?.extensions).toMatchObject({ code: 'INVALID_CURSOR' });
    }
  });

  it('gives a token that is limited to projects only what belongs to them', async () => {
    const { id } = await stack.createProject();
    const project = toPublicId('project', id);
    const limited = { viewer: viewer({ projectIds: [id] }) };
    expect(await list('', limited)).toMatchObject([{ action: 'createProject', subjectId: project }]);
    expect(await list('', { viewer: viewer({ projectIds: [v7()] }) })).toEqual([]);
    const { errors } = await api.run('{ auditLog { nodes { id } } }', {
      viewer: viewer({ scopes: ['projects:write'] }),
    });
    expect(errors[0]?.extensions).toMatchObject({ code: 'FORBIDDEN', requiredScope: 'admin' });
  });
});
