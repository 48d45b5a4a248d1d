import { connect } from 'node:net';
import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { fromPublicId, toPublicId } from '../../../src/std/public-id.ts';
import { setTaskType } from '../../../src/tasks/task-type.ts';
import { finish } from '../../schema/finish.ts';
import { waitFor } from '../../support/wait-for.ts';
import { openRest, type Rest, type RestAnswer } from './open-rest.ts';

const NO_TASK = 'task_0199f3a0000070008000000000000000';
const LEASE = '0199f3a0-0000-7000-8000-000000000000';

let rest: Rest;
let projectUuid: string;
let projectId: string;
let type: string;
let count = 0;
beforeAll(async () => {
  rest = await openRest();
  projectUuid = (await rest.stack.createProject()).id;
  projectId = toPublicId('project', projectUuid);
});
afterAll(() => rest[Symbol.asyncDispose]());
/** Each test has a type of its own, so that none claims another's tasks. */
beforeEach(async () => {
  count += 1;
  type = `type-${count}`;
  const shape = { type: 'object', properties: { n: { type: 'integer' } }, additionalProperties: false };
  await setTaskType(rest.stack.orchestrator, { projectId: projectUuid, name: type, schema: shape }, 'test');
});

const enqueue = (task: object = {}, headers = {}) =>
  rest.call('POST /work/enqueue', { body: { projectId, type, payload: { n: 1 }, ...task }, headers });
const dequeue = (claim: object = {}) =>
  rest.call('POST /work/dequeue', { body: { workerName: 'w', types: [type], ...claim } });
const say = (answer: RestAnswer, word: string, body: object = {}) => {
  const [{ task, leaseToken }] = answer.body.claims;
  return rest.call(`POST /work/${task.id}/${word}`, { body: { leaseToken, ...body } });
};

describe('a task', () => {
  it('is enqueued once per key, claimed, kept alive, and completed', async () => {
    const labels = [{ key: 'team', value: 'web' }];
    const first = await enqueue(
      { labels, priority: 3, leaseSeconds: 30, callbackUrl: 'http://127.0.0.1:1/hook' },
      { 'idempotency-key': 'k1' },
    );
    expect(first).toMatchObject({
      status: 201,
      body: { deduplicated: false, task: { status: 'PENDING', project: { id: projectId }, labels, build: null } },
    });
    const { id, requestedBy } = first.body.task;
    expect(first.headers.get('location')).toBe(`/work/${id}/status`);
    const again = await enqueue({
      labels,
      priority: 3,
      leaseSeconds: 30,
      callbackUrl: 'http://127.0.0.1:1/hook',
      idempotencyKey: 'k1',
    });
    expect(again).toMatchObject({ status: 200, body: { deduplicated: true, task: { id } } });
    expect(await enqueue({ idempotencyKey: 'k1' })).toMatchObject({
      status: 422,
      body: { code: 'IDEMPOTENCY_CONFLICT' },
    });

    const claimed = await dequeue();
    expect(claimed.body.claims).toMatchObject([
      {
        task: { id, status: 'RUNNING', attempt: 1, claimedBy: 'test/w', payload: { n: 1 } },
        leaseToken: expect.any(String),
      },
    ]);
    expect((await dequeue()).body.claims).toEqual([]);
    const beat = await say(claimed, 'heartbeat', { progress: { percent: 40 } });
    expect(beat).toMatchObject({ status: 200, body: { cancelRequested: false, task: { progress: { percent: 40 } } } });
    const done = await say(claimed, 'complete', { result: { ok: true } });
    expect(done).toMatchObject({ status: 200, body: { task: { status: 'COMPLETED' } } });
    expect(await say(claimed, 'complete', { result: { ok: true } })).toMatchObject({ status: 200 });
    expect(await say(claimed, 'fail', { reason: 'late' })).toMatchObject({ status: 409, body: { code: 'LEASE_LOST' } });
    expect((await rest.call(`GET /work/${id}/status`)).body).toMatchObject({
      id,
      status: 'COMPLETED',
      result: { ok: true },
    });
    const entries = await rest.graphql(
      '{ auditLog(first: 1, filter: { action: "enqueueTask" }) { nodes { actor subjectId } } }',
    );
    expect(entries.auditLog.nodes).toMatchObject([{ actor: requestedBy }]);
  });

  it('goes back when it fails or is released, and a late word changes nothing', async () => {
    const { id } = (await enqueue({ retry: { maxAttempts: 2, backoffSeconds: 0 } })).body.task;
    const released = await dequeue();
    expect(await say(released, 'release')).toMatchObject({
      status: 200,
      body: { task: { status: 'PENDING', failures: 0 } },
    });
    const first = await dequeue({ waitSeconds: 10 });
    expect(await say(first, 'fail', { reason: 'broken' })).toMatchObject({
      body: { task: { status: 'PENDING', failures: 1 } },
    });
    const second = await dequeue({ waitSeconds: 10 });
    for (const word of ['heartbeat', 'complete', 'release'] as const) {
      expect(await say(first, word)).toMatchObject({ status: 409, body: { code: 'LEASE_LOST' } });
    }
    expect(await say(second, 'fail', { reason: 'broken', retryable: false })).toMatchObject({
      body: {
        task: { status: 'FAILED', failure: { reason: 'broken', retryable: false }, deadLetteredAt: expect.any(String) },
      },
    });
    const stats = (await rest.call(`GET /work/stats?projectId=${projectId}&type=${type}`)).body;
    expect(stats).toMatchObject({ waiting: 0, running: 0, dead: 1 });
    expect((await rest.call(`GET /work/${id}/status`)).body.attempt).toBe(3);
  });

  it('that is a build says so, and is ended by its own worker only', async () => {
    const body = { projectId, type: 'build', payload: { prompt: 'by a task' } };
    const { task } = (await rest.call('POST /work/enqueue', { body })).body;
    const id = fromPublicId('task', task.id) ?? '';
    expect(task.build).toEqual({ id: toPublicId('build', id) });
    const lease = { leaseToken: LEASE };
    expect(await rest.call(`POST /work/${task.id}/complete`, { body: lease })).toMatchObject({
      status: 409,
      body: { code: 'TASK_STATE' },
    });
    const waiting = rest.call(`GET /work/${task.id}/status?waitSeconds=30`);
    await waitFor(() => rest.stack.orchestrator.hub.waiters > 1);
    await finish(rest.stack.orchestrator, id);
    expect((await waiting).body).toMatchObject({ status: 'COMPLETED', result: { commitSha: 'c0ffee' } });
  });

  it('may also be claimed by GET, which is deprecated and has no HEAD', async () => {
    await enqueue({ runsOn: ['rig:1'] });
    const query = `workerName=w&types=${type}&types=other&labels=rig:1&labels=gpu&max=2&waitSeconds=0`;
    expect((await rest.call(`HEAD /work/dequeue?${query}`)).status).toBe(405);
    const none = await rest.call(`GET /work/dequeue?workerName=w&types=${type}`);
    expect(none.body.claims).toEqual([]);
    const { status, headers, body } = await rest.call(`GET /work/dequeue?${query}`);
    expect({ status, count: body.claims.length }).toEqual({ status: 200, count: 1 });
    expect(headers.get('deprecation')).toMatch(/^@\d+$/);
    expect(headers.get('link')).toBe('</work/dequeue>; rel="successor-version"');
    for (const wrong of [
      '',
      'workerName=w',
      `types=${type}`,
      `workerName=w&types=${type}&waitSeconds=61`,
      `${query}&a=b`,
    ]) {
      expect((await rest.call(`GET /work/dequeue?${wrong}`)).status).toBe(400);
    }
  });
});

describe('whoever waits for a task', () => {
  it('is given it when it comes, by whatever way', async () => {
    const { desk } = rest.stack.orchestrator;
    const waiting = dequeue({ waitSeconds: 30 });
    await waitFor(() => desk.waiting === 1);
    const { id } = (await enqueue()).body.task;
    expect((await waiting).body.claims).toMatchObject([{ task: { id } }]);
  });

  it('leaves with its token, and when the process ends', async () => {
    await using own = await openRest({ shutdownMs: 60_000 });
    const { desk, db } = own.stack.orchestrator;
    const body = { workerName: 'w', types: ['test'], waitSeconds: 60 };
    const token = await own.createToken({ scopes: ['work'] });
    const lost = own.call('POST /work/dequeue', { body, ...token });
    await waitFor(() => desk.waiting === 1);
    await sql`update api_tokens set revoked_at = now() where id = ${token.id}`.execute(db);
    expect((await lost).body.claims).toEqual([]);
    const idle = own.call('POST /work/dequeue', { body });
    await waitFor(() => desk.waiting === 1);
    await own.server[Symbol.asyncDispose]();
    expect(await idle).toMatchObject({ status: 200, body: { claims: [] } });
  });
});

it('whoever has gone takes no task along', async () => {
  const { desk } = rest.stack.orchestrator;
  const { authorization } = await rest.createToken({ scopes: ['work'] });
  const body = JSON.stringify({ workerName: 'w', types: [type], waitSeconds: 60 });
  const socket = connect(rest.server.port, '127.0.0.1');
  socket.write(
    `POST /work/dequeue HTTP/1.1\r\nHost: a\r\nAuthorization: ${authorization}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${body.length}\r\n\r\n${body}`,
  );
  await waitFor(() => desk.waiting === 1);
  socket.destroy();
  await waitFor(() => desk.waiting === 0);
  const { id } = (await enqueue()).body.task;
  expect((await dequeue()).body.claims).toMatchObject([{ task: { id, attempt: 1 } }]);
});

describe('what is refused', () => {
  it.each([
    [{ type: 'Nobody' }, ['#/type']],
    [{ type: 'nobody' }, ['#/type']],
    [{ payload: { n: 'x' } }, ['#/payload/n']],
    [{ priority: 101, retry: { maxAttempts: 0 } }, ['#/priority', '#/retry/maxAttempts']],
    [{ runAfter: 'soon' }, ['#/runAfter']],
    [{ color: 'red' }, ['#/color']],
    [{ payload: 'x\0' }, ['#/payload']],
  ])('to enqueue %j', async (task, pointers) => {
    const { status, body } = await enqueue(task);
    expect(status).toBe(400);
    expect(body.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual(pointers);
  });

  it('a payload that is too deep', async () => {
    const body = `{"projectId":"${projectId}","type":"${type}","payload":${'['.repeat(100_000)}${']'.repeat(100_000)}}`;
    expect(await rest.call('POST /work/enqueue', { body })).toMatchObject({
      status: 400,
      body: { errors: [{ pointer: '#/payload' }] },
    });
  });

  it.each(['x', NO_TASK, '%00', toPublicId('build', LEASE)])('words about %s', async (id) => {
    for (const [word, more] of [
      ['heartbeat', {}],
      ['complete', {}],
      ['fail', { reason: 'x' }],
      ['release', {}],
    ] as const) {
      const answer = await rest.call(`POST /work/${id}/${word}`, { body: { leaseToken: LEASE, ...more } });
      expect(answer).toMatchObject({ status: 404, body: { code: 'NOT_FOUND' } });
    }
    expect((await rest.call(`GET /work/${id}/status`)).status).toBe(404);
  });

  it('a lease that is none, and members that nobody knows', async () => {
    const { id } = (await enqueue()).body.task;
    for (const body of [{}, { leaseToken: 'x' }, { leaseToken: LEASE, color: 'red' }, []]) {
      expect((await rest.call(`POST /work/${id}/complete`, { body })).status).toBe(400);
    }
    expect((await rest.call(`POST /work/${id}/complete`, { body: { leaseToken: LEASE } })).status).toBe(409);
    for (const claim of [{ types: [] }, { types: ['build'] }, { max: 51 }, { waitSeconds: 61 }, { workerName: '' }]) {
      expect((await dequeue(claim)).status).toBe(400);
    }
  });

  it('a token of another project, which claims nothing and finds nothing', async () => {
    const { id } = (await enqueue()).body.task;
    const other = await rest.stack.createProject();
    const { authorization } = await rest.createToken({ scopes: ['tasks:write', 'work'], projectIds: [other.id] });
    const body = { workerName: 'w', types: [type] };
    expect((await rest.call('POST /work/dequeue', { body, authorization })).body.claims).toEqual([]);
    expect((await rest.call(`GET /work/${id}/status`, { authorization })).status).toBe(404);
    const [{ leaseToken }] = (await dequeue()).body.claims;
    expect((await rest.call(`POST /work/${id}/complete`, { body: { leaseToken }, authorization })).status).toBe(404);
    expect(
      (await rest.call('POST /work/enqueue', { body: { projectId, type, payload: {} }, authorization })).status,
    ).toBe(404);
    const stats = await rest.call(`GET /work/stats?projectId=${projectId}`, { authorization });
    expect(stats.body).toMatchObject({ waiting: 0, running: 0, dead: 0 });
  });
});
