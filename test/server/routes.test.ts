import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sql } from 'kysely';
import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { insertArtifacts } from '../../src/artifacts/artifact.ts';
import { toPublicId } from '../../src/std/public-id.ts';
import { insertBuilds } from '../support/events.ts';
import { type FixtureServer, openFixtureServer } from './open-fixture-server.ts';

const CONTENT = 'The quick brown fox jumps over the lazy dog.';

let server: FixtureServer;
beforeAll(async () => {
  server = await openFixtureServer();
});
afterAll(() => server[Symbol.asyncDispose]());

describe('the door', () => {
  it('says what this is', async () => {
    const response = await fetch(server.server.url);
    expect(response.status).toBe(200);
    expect(await response.text()).toContain('POST /graphql');
  });

  it.each(['/nothing', '/graphql/', '//graphql', '/artifacts', '/artifacts/a/b', '/%', '/.git/config'])(
    'knows no %s',
    async (path) => {
      const response = await fetch(`${server.server.url}${path}`);
      expect(response.status).toBe(404);
      expect(response.headers.get('content-type')).toBe('application/problem+json');
      expect(response.headers.get('x-content-type-options')).toBe('nosniff');
      expect(await response.json()).toMatchObject({ type: 'about:blank', title: 'Not Found', status: 404 });
    },
  );
});

describe('artifacts of other origins', () => {
  const APP = 'https://app.example';
  const path = '/artifacts/artifact_0199f3a0000070008000000000000000';

  it('may be fetched by pages of allowed origins', async () => {
    await using open = await openFixtureServer({ environment: { SLIPWAY_ALLOWED_ORIGINS: APP } });
    const asked = { 'access-control-request-method': 'GET', 'access-control-request-headers': 'authorization,range' };
    const send = (method: string, origin: string) =>
      fetch(`${open.server.url}${path}`, { method, headers: { origin, ...asked, authorization: open.authorization } });
    const preflight = await send('OPTIONS', APP);
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-origin')).toBe(APP);
    expect(preflight.headers.get('access-control-allow-headers')).toContain('range');
    const answer = await send('GET', APP);
    expect(answer.status).toBe(404);
    expect(answer.headers.get('access-control-allow-origin')).toBe(APP);
    expect(answer.headers.get('access-control-expose-headers')).toContain('content-disposition');
    for (const method of ['OPTIONS', 'GET']) {
      expect((await send(method, 'https://evil.example')).headers.get('access-control-allow-origin')).toBeNull();
    }
  });

  it('may not be fetched by any page when none is allowed', async () => {
    const response = await fetch(`${server.server.url}${path}`, { method: 'OPTIONS', headers: { origin: APP } });
    expect(response.status).toBe(404);
    expect(response.headers.get('access-control-allow-origin')).toBeNull();
  });
});

describe('health', () => {
  it('is well', async () => {
    expect(await (await fetch(`${server.server.url}/healthz`)).json()).toEqual({ status: 'ok' });
    const ready = await fetch(`${server.server.url}/readyz`);
    expect({ status: ready.status, body: await ready.json() }).toEqual({ status: 200, body: { status: 'ready' } });
  });

  it.each([
    ['migrations', 'drop table migration_checksums'],
    ['migrations', "delete from migration_checksums where name like '0001%'"],
  ])('names %s when it does not hold', async (check, statement) => {
    await using sick = await openFixtureServer();
    const { db } = sick.stack.orchestrator;
    await sql.raw(statement).execute(db);
    await expectNotReady(sick, check);
  });

  it('names the database when it does not answer', async () => {
    await using sick = await openFixtureServer();
    await sick.stack.orchestrator.db.destroy();
    await expectNotReady(sick, 'database');
    expect((await fetch(`${sick.server.url}/healthz`)).status).toBe(200);
  });

  it('names the events when nobody listens', async () => {
    await using sick = await openFixtureServer();
    await sick.stack.orchestrator.hub[Symbol.asyncDispose]();
    await expectNotReady(sick, 'events');
  });

  async function expectNotReady(sick: FixtureServer, check: string): Promise<void> {
    const response = await fetch(`${sick.server.url}/readyz`);
    expect(response.status).toBe(503);
    expect(response.headers.get('content-type')).toBe('application/problem+json');
    expect(await response.json()).toMatchObject({ status: 503, check });
  }
});

describe('artifacts', () => {
  let projectId: string;
  let url: string;
  let sha256: string;

  beforeAll(async () => {
    const { db, artifacts } = server.stack.orchestrator;
    const path = join(server.stack.dataFolder, 'page.html');
    await writeFile(path, CONTENT);
    const stored = await artifacts.put(createReadStream(path));
    ({ sha256 } = stored);
    const [build] = await insertBuilds(db);
    if (!build) throw new Error('no build');
    ({ projectId } = build);
    const artifact = {
      id: v7(),
      buildId: build.buildId,
      name: 'out/a "page".html',
      contentType: 'text/html',
      ...stored,
    };
    await db.transaction().execute((trx) => insertArtifacts(trx, [artifact]));
    url = `${server.server.url}/artifacts/${toPublicId('artifact', artifact.id)}`;
  });

  const get = (headers: Readonly<Record<string, string>> = {}, method = 'GET') =>
    fetch(url, { method, headers: { authorization: server.authorization, ...headers } });

  it('come as they were stored, and as nothing that a browser would run', async () => {
    const response = await get();
    expect(response.status).toBe(200);
    expect(
      createHash('sha256')
        .update(await response.bytes())
        .digest('hex'),
    ).toBe(sha256);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'text/html',
      'content-length': String(CONTENT.length),
      'content-disposition': "attachment; filename*=UTF-8''a%20%22page%22.html",
      'content-security-policy': "sandbox; default-src 'none'",
      'x-content-type-options': 'nosniff',
      'accept-ranges': 'bytes',
      etag: `"${sha256}"`,
    });
  });

  it.each([
    ['bytes=0-2', 206, 'The', 'bytes 0-2/44'],
    ['bytes=4-', 206, CONTENT.slice(4), 'bytes 4-43/44'],
    ['bytes=-4', 206, 'dog.', 'bytes 40-43/44'],
    ['bytes=40-1000', 206, 'dog.', 'bytes 40-43/44'],
    ['bytes=-1000', 206, CONTENT, 'bytes 0-43/44'],
    ['bytes=5-1', 200, CONTENT, null],
    ['bytes=0-1,3-4', 200, CONTENT, null],
    ['bytes=x', 200, CONTENT, null],
    ['lines=1-2', 200, CONTENT, null],
  ])('answer %s', async (range, status, text, contentRange) => {
    const response = await get({ range });
    expect({ status: response.status, text: await response.text() }).toEqual({ status, text });
    expect(response.headers.get('content-range')).toBe(contentRange);
  });

  it.each(['bytes=44-', 'bytes=100-200', 'bytes=-0'])('refuse %s', async (range) => {
    const response = await get({ range });
    expect(response.status).toBe(416);
    expect(response.headers.get('content-range')).toBe('bytes */44');
  });

  it('answer HEAD with what GET would say of all of it', async () => {
    for (const range of [undefined, 'bytes=0-2', 'bytes=100-']) {
      const { status, headers } = await get(range ? { range } : {}, 'HEAD');
      expect({ status, length: headers.get('content-length') }).toEqual({ status: 200, length: '44' });
      expect(headers.get('vary')).toBe('Authorization');
    }
  });

  it.each([
    ['"TAG"', 304],
    ['W/"TAG"', 304],
    ['*', 304],
    ['"other", W/"more" , "TAG"', 304],
    ['"other"', 200],
    ['TAG', 200],
  ])('answer who has %s already', async (tags, status) => {
    const response = await get({ 'if-none-match': tags.replace('TAG', sha256) });
    expect(response.status).toBe(status);
    expect(response.headers.get('vary')).toBe('Authorization');
  });

  it('come whole to who has a part of something else', async () => {
    const range = 'bytes=0-2';
    expect((await get({ range, 'if-range': `"${sha256}"` })).status).toBe(206);
    expect((await get({ range, 'if-range': '"other"' })).status).toBe(200);
  });

  it('need a token that may read this build', async () => {
    const status = async (authorization: string) => (await get({ authorization })).status;
    const tokens = await Promise.all([
      server.createToken({ scopes: ['builds:read'] }),
      server.createToken({ scopes: ['builds:read'], projectIds: [projectId] }),
      server.createToken({ scopes: ['workers'] }),
      server.createToken({ scopes: ['builds:read'], projectIds: [v7()] }),
    ]);
    expect(await Promise.all(tokens.map((token) => status(token.authorization)))).toEqual([200, 200, 403, 404]);
    const anonymous = await fetch(url);
    expect(anonymous.status).toBe(401);
    expect(anonymous.headers.get('www-authenticate')).toBe('Bearer');
    expect(anonymous.headers.get('content-type')).toBe('application/problem+json');
  });

  it.each(['artifact_1', 'build_0199f3a0000070008000000000000000', 'artifact_0199f3a0000070008000000000000000'])(
    'are not there as %s',
    async (id) => {
      const headers = { authorization: server.authorization };
      expect((await fetch(`${server.server.url}/artifacts/${id}`, { headers })).status).toBe(404);
    },
  );
});
