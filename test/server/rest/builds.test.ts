import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SCOPES } from '../../../src/auth/scope.ts';
import { can } from '../../../src/auth/viewer.ts';
import { ENDPOINTS } from '../../../src/server/rest/rest-routes.ts';
import { fromPublicId, toPublicId } from '../../../src/std/public-id.ts';
import { FAILED, finish } from '../../schema/finish.ts';
import { claimByHand, registerByHand } from '../../support/claim.ts';
import { openRest, type Rest } from './open-rest.ts';

let rest: Rest;
let projectUuid: string;
let projectId: string;
beforeAll(async () => {
  rest = await openRest();
  projectUuid = (await rest.stack.createProject()).id;
  projectId = toPublicId('project', projectUuid);
});
afterAll(() => rest[Symbol.asyncDispose]());

const NO_BUILD = 'build_0199f3a0000070008000000000000000';
const NO_PROJECT = 'project_0199f3a0000070008000000000000000';

async function start(spec: Record<string, unknown> = {}): Promise<string> {
  const { status, body } = await rest.call(`POST /projects/${projectId}/builds`, {
    body: { spec: { prompt: 'work', ...spec } },
  });
  expect(status).toBe(201);
  return body.build.id;
}

const end = (id: string, conclusion?: Parameters<typeof finish>[2]) =>
  finish(rest.stack.orchestrator, fromPublicId('build', id) ?? '', conclusion);

/** An example that does not wait. */
const withoutWait = ({ waitSeconds, ...body }: Readonly<Record<string, unknown>>) => body;

describe('a build', () => {
  it('is started once per key, by a header or a member, over REST and GraphQL', async () => {
    const spec = { prompt: 'once', runAfter: '2030-01-01T00:00:00Z', labels: [{ key: 'team', value: 'a' }] };
    const path = `POST /projects/${projectId}/builds`;
    const first = await rest.call(path, { body: { spec }, headers: { 'idempotency-key': 'once-1' } });
    expect(first).toMatchObject({
      status: 201,
      body: { deduplicated: false, build: { status: 'PENDING', number: 1 } },
    });
    expect(first.headers.get('location')).toBe(`/builds/${first.body.build.id}`);
    expect(first.headers.get('cache-control')).toBe('no-store');
    expect(first.headers.get('ratelimit')).toMatch(/^"points";r=\d+;t=\d+$/);
    const again = await rest.call(path, { body: { spec, idempotencyKey: 'once-1' } });
    expect(again).toMatchObject({ status: 200, body: { deduplicated: true, build: { id: first.body.build.id } } });
    const { startBuild } = await rest.graphql(
      'mutation ($input: StartBuildInput!) { startBuild(input: $input) { ... on StartBuildPayload { deduplicated build { id } } } }',
      { input: { projectId, spec, idempotencyKey: 'once-1' } },
    );
    expect(startBuild).toEqual({ deduplicated: true, build: { id: first.body.build.id } });
    const other = await rest.call(path, { body: { spec: { prompt: 'other' }, idempotencyKey: 'once-1' } });
    expect(other).toMatchObject({
      status: 422,
      body: { code: 'IDEMPOTENCY_CONFLICT', existing: { id: first.body.build.id } },
    });
    const both = await rest.call(path, { body: { spec, idempotencyKey: 'a' }, headers: { 'idempotency-key': 'b' } });
    expect(both).toMatchObject({ status: 400, body: { errors: [{ pointer: '#/idempotencyKey' }] } });
    const entries = await rest.graphql(
      '{ auditLog(first: 1, filter: { action: "startBuild" }) { nodes { actor subjectId } } }',
    );
    expect(entries.auditLog.nodes).toEqual([{ actor: first.body.build.requestedBy, subjectId: first.body.build.id }]);
  });

  it('has the same facts as in GraphQL when it has ended', async () => {
    const id = await start({ limits: { maxCostUsd: 2.5 }, callbackUrl: 'http://127.0.0.1:1/hook' });
    await end(id);
    const { body } = await rest.call(`GET /builds/${id}`);
    expect(body).toMatchObject({
      status: 'COMPLETED',
      result: { success: true, commitSha: 'c0ffee', usage: { inputTokens: 5_000_000_000 } },
    });
    const { build } = await rest.graphql(
      `query ($id: ID!) { build(id: $id) {
        id number status phase durationMs queuedMs requestedBy attempt createdAt finishedAt lastEventCursor traceId
        project { id slug } callbacks { id url status }
        spec { prompt branch provider limits { wallSeconds maxCostUsd } network { access } runAfter }
        result { success output publication commitSha branch filesChanged { path status additions } sessionId }
        failure { reason } usage { inputTokens costUsd turns models { model } }
      } }`,
      { id },
    );
    expect(body).toMatchObject(build);
  });

  it('is known by its tag until something changes', async () => {
    const id = await start();
    const first = await rest.call(`GET /builds/${id}`);
    const tag = first.headers.get('etag') ?? '';
    expect(tag).toMatch(/^W\/"[\w-]+"$/);
    const same = await rest.call(`GET /builds/${id}`, { headers: { 'if-none-match': `"other", ${tag}` } });
    expect(same).toMatchObject({ status: 304, body: null });
    expect(same.headers.get('etag')).toBe(tag);
    await rest.call(`POST /builds/${id}/cancel`);
    const changed = await rest.call(`GET /builds/${id}`, { headers: { 'if-none-match': tag } });
    expect(changed).toMatchObject({ status: 200, body: { status: 'CANCELLED' } });
    expect((await rest.call(`HEAD /builds/${id}`)).headers.get('etag')).toBe(changed.headers.get('etag'));
  });

  it('is cancelled, and retried when it has ended', async () => {
    const id = await start();
    expect(await rest.call(`POST /builds/${id}/retry`)).toMatchObject({
      status: 409,
      body: { code: 'BUILD_STATE', state: 'PENDING' },
    });
    const cancelled = await rest.call(`POST /builds/${id}/cancel`, { body: { reason: 'enough' } });
    expect(cancelled).toMatchObject({ status: 200, body: { build: { status: 'CANCELLED', cancelReason: 'enough' } } });
    expect(await rest.call(`POST /builds/${id}/cancel`, { body: {} })).toMatchObject({ status: 409 });
    const retried = await rest.call(`POST /builds/${id}/retry`, { body: { idempotencyKey: 'again' } });
    expect(retried).toMatchObject({ status: 201, body: { build: { retryOf: { id }, source: 'RETRY' } } });
    expect(await rest.call(`POST /builds/${id}/retry`, { headers: { 'idempotency-key': 'again' } })).toMatchObject({
      status: 200,
      body: { deduplicated: true },
    });
    const running = await start({ priority: 100 });
    await claimByHand(rest.stack, await registerByHand(rest.stack));
    expect(await rest.call(`POST /builds/${running}/cancel`)).toMatchObject({
      status: 202,
      body: { build: { status: 'RUNNING' } },
    });
  });

  it('is made together with its project', async () => {
    const body = { project: { name: 'By REST', settings: { provider: 'scripted' } }, spec: { prompt: 'begin' } };
    const created = await rest.call('POST /projects/create-and-build', {
      body,
      headers: { 'idempotency-key': 'new-1' },
    });
    expect(created).toMatchObject({
      status: 201,
      body: { project: { slug: 'by-rest' }, callbackSecret: expect.stringMatching(/^whsec_/), deduplicated: false },
    });
    expect(await rest.call('POST /projects/create-and-build', { body })).toMatchObject({
      status: 409,
      body: { code: 'CONFLICT' },
    });
    const limited = await rest.createToken({ scopes: ['admin'], projectIds: [projectUuid] });
    expect(await rest.call('POST /projects/create-and-build', { body, ...limited })).toMatchObject({ status: 403 });
  });

  it('tells its events in pages', async () => {
    const id = await start();
    await end(id, FAILED);
    const first = await rest.call(`GET /builds/${id}/events?limit=1`);
    expect(first.body).toMatchObject({
      events: [{ type: 'QUEUED', cursor: '1' }],
      pageInfo: { hasNextPage: true, endCursor: '1' },
    });
    const rest2 = await rest.call(`GET /builds/${id}/events?after=1`);
    expect(rest2.body).toMatchObject({
      events: [{ type: 'FINISHED', status: 'FAILED', failureReason: 'NO_CHANGES' }],
      pageInfo: { hasNextPage: false },
    });
    expect(await rest.call(`GET /builds/${id}/events?after=x`)).toMatchObject({
      status: 400,
      body: { code: 'INVALID_CURSOR', errors: [{ parameter: 'after' }] },
    });
  });
});

describe('the builds of a project', () => {
  it('come page by page, by filters, with links', async () => {
    const project = toPublicId('project', (await rest.stack.createProject()).id);
    const ids: string[] = [];
    for (const branch of ['a', 'b', 'a', 'a']) {
      const spec = { prompt: 'list', branch, labels: [{ key: 'is', value: `${branch}=1` }] };
      ids.unshift((await rest.call(`POST /projects/${project}/builds`, { body: { spec } })).body.build.id);
    }
    const list = async (query: string) => {
      const { body, headers } = await rest.call(`GET /projects/${project}/builds${query}`);
      const links = [...(headers.get('link') ?? '').matchAll(/<([^>]+)>; rel="(\w+)"/g)].map(([, url, rel]) => [
        rel,
        url,
      ]);
      return { ids: body.builds.map(({ id }: { id: string }) => id), links: Object.fromEntries(links) };
    };
    const first = await list('?limit=2');
    expect(first.ids).toEqual(ids.slice(0, 2));
    expect(Object.keys(first.links)).toEqual(['first', 'next']);
    const next = await list(first.links.next.slice(first.links.next.indexOf('?')));
    expect(next.ids).toEqual(ids.slice(2));
    const back = await list(next.links.prev.slice(next.links.prev.indexOf('?')));
    expect(back.ids).toEqual(ids.slice(0, 2));
    expect((await list('?order=ASC')).ids).toEqual(ids.toReversed());
    expect((await list('?branch=b')).ids).toEqual([ids[2]]);
    expect((await list('?label=is=b%3D1')).ids).toEqual([ids[2]]);
    expect((await list('?number=1&status=PENDING&status=RUNNING&source=API&provider=scripted')).ids).toEqual([ids[3]]);
    expect((await list('?status=FAILED')).ids).toEqual([]);
    expect((await list('?createdTo=2020-01-01T00:00:00Z')).ids).toEqual([]);
    expect((await list('?limit=0')).ids).toEqual([]);
  });

  it.each([
    ['limit=101', 'limit'],
    ['limit=x', 'limit'],
    ['limit=1&limit=2', 'limit'],
    ['after=x', 'after'],
    ['status=DONE', 'status'],
    ['label=x', 'label'],
    ['createdFrom=yesterday', 'createdFrom'],
    ['branch=%00', 'branch'],
    ['color=red', 'color'],
  ])('refuse %s', async (query, parameter) => {
    const { status, body } = await rest.call(`GET /projects/${projectId}/builds?${query}`);
    expect(status).toBe(400);
    expect(body.errors).toMatchObject([{ parameter }]);
  });
});

describe('what is refused', () => {
  it.each([
    [{}, ['#/spec']],
    [{ spec: {} }, ['#/spec/prompt']],
    [{ spec: { prompt: '' } }, ['#/spec/prompt']],
    [{ spec: { prompt: 1, priority: 'x' } }, ['#/spec/prompt', '#/spec/priority']],
    [{ spec: { prompt: 'x', labels: [{ key: 'a/b', value: 1 }] } }, ['#/spec/labels/0/value']],
    [{ spec: { prompt: 'x', runAfter: 'soon' } }, ['#/spec/runAfter']],
    [{ spec: { prompt: 'x', 'a/b~c': 'red' } }, ['#/spec/a~1b~0c']],
    [{ spec: { prompt: 'x' }, projectId: 'other' }, ['#/projectId']],
    [{ spec: { prompt: 'x\0' } }, ['#/spec/prompt']],
    [[], ['#']],
    [null, ['#']],
    ['"text"', ['#']],
  ])('names each fault of %j', async (body, pointers) => {
    const answer = await rest.call(`POST /projects/${projectId}/builds`, { body: body === null ? 'null' : body });
    expect(answer).toMatchObject({ status: 400, body: { code: 'INVALID_INPUT' } });
    expect(answer.body.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual(pointers);
  });

  it('has the codes of the use cases', async () => {
    const send = (spec: object) =>
      rest.call(`POST /projects/${projectId}/builds`, { body: { spec: { prompt: 'x', ...spec } } });
    expect((await send({ branch: '..' })).body).toMatchObject({
      code: 'INVALID_REF',
      errors: [{ pointer: '#/spec/branch' }],
    });
    expect((await send({ provider: 'nobody' })).body).toMatchObject({ status: 400, code: 'UNKNOWN_PROVIDER' });
  });

  it.each([
    ['{', 400, 'BAD_REQUEST'],
    ['', 415, 'UNSUPPORTED_MEDIA_TYPE'],
    [`${'['.repeat(200_000)}`, 400, 'BAD_REQUEST'],
    [`{"spec":${'['.repeat(100_000)}${']'.repeat(100_000)}}`, 400, 'INVALID_INPUT'],
    ['{"__proto__":{"spec":1}}', 400, 'INVALID_INPUT'],
    [`{"spec":{"prompt":"${'x'.repeat(1.5 * 1024 * 1024)}"}}`, 413, 'PAYLOAD_TOO_LARGE'],
  ])('a hostile body: %.20s', async (body, status, code) => {
    const answer = await rest.call(`POST /projects/${projectId}/builds`, body === '' ? {} : { body });
    expect(answer).toMatchObject({ status, body: { code } });
  });

  it.each([
    ['text/plain', 'identity'],
    ['application/json', 'gzip'],
    ['multipart/form-data', 'identity'],
  ])('a body of %s, %s', async (type, encoding) => {
    const headers = { 'content-type': type, 'content-encoding': encoding };
    const answer = await rest.call(`POST /projects/${projectId}/builds`, { body: '{}', headers });
    expect(answer.status).toBe(415);
  });

  it.each([
    `GET /builds/${NO_BUILD}`,
    'GET /builds/x',
    'GET /builds/%00',
    'GET /builds/%ff',
    'GET /builds/..%2f..%2fetc',
    `GET /builds/${'9'.repeat(5_000)}`,
    `GET /builds/${NO_PROJECT}`,
    `POST /builds/${NO_BUILD}/cancel`,
    `POST /builds/${NO_BUILD}/retry`,
    `GET /builds/${NO_BUILD}/events`,
    `GET /projects/${NO_PROJECT}/builds`,
    'GET /projects/x/builds',
    'GET /builds/x/nothing',
    'GET /builds/',
    'GET /projects/a/b/c',
  ])('%.60s is not there', async (route) => {
    const { status, body } = await rest.call(route);
    expect({ status, code: body.code }).toEqual({ status: 404, code: 'NOT_FOUND' });
    expect(body.detail.length).toBeLessThan(1_100);
  });

  it('what a token of another project may not see', async () => {
    const id = await start();
    const other = await rest.stack.createProject();
    const { authorization } = await rest.createToken({ scopes: ['builds:write'], projectIds: [other.id] });
    for (const route of [`GET /builds/${id}`, `POST /builds/${id}/cancel`, `GET /projects/${projectId}/builds`]) {
      expect((await rest.call(route, { authorization })).status).toBe(404);
    }
    const body = { spec: { prompt: 'x' } };
    expect((await rest.call(`POST /projects/${projectId}/builds`, { body, authorization })).status).toBe(404);
  });

  it('other methods', async () => {
    for (const [route, allow] of [
      ['DELETE /builds/x', 'HEAD, GET'],
      ['GET /projects/create-and-build', 'POST'],
      ['PUT /projects/x/builds', 'HEAD, POST, GET'],
    ] as const) {
      const { status, headers } = await rest.call(route);
      expect({ status, allow: headers.get('allow') }).toEqual({ status: 405, allow });
    }
  });

  it('whoever has no token, and pages of other origins', async () => {
    for (const authorization of [null, 'Bearer x', 'Basic eDp4']) {
      const { status, headers } = await rest.call('GET /builds/x', { authorization });
      expect({ status, challenge: headers.get('www-authenticate') }).toEqual({ status: 401, challenge: 'Bearer' });
    }
    const foreign = await rest.call('GET /builds/x', { headers: { origin: 'https://evil.example' } });
    expect(foreign).toMatchObject({ status: 403, body: { code: 'ORIGIN_NOT_ALLOWED' } });
  });

  it('a token that lacks the scopes of a route, and no other', async () => {
    for (const scope of SCOPES) {
      const { authorization } = await rest.createToken({ scopes: [scope] });
      for (const { method, path, scopes, body, changes } of ENDPOINTS) {
        const route = `${method.toUpperCase()} ${path.replace('{id}', path.startsWith('/projects') ? NO_PROJECT : NO_BUILD)}${changes ? '?workerName=w&types=test' : ''}`;
        const { status } = await rest.call(route, { authorization, ...(body && { body: withoutWait(body.example) }) });
        const may = scopes.every((needed) => can({ scopes: [scope] }, needed));
        expect({ scope, route, refused: status === 403 }).toEqual({ scope, route, refused: !may });
      }
    }
  });
});
