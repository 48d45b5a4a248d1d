/** A token that is lost loses what it has open: over real sockets, with the server's own limits. */
import { createReadStream } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { sql } from 'kysely';
import { pino } from 'pino';
import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { insertArtifacts } from '../../src/artifacts/artifact.ts';
import { createApiToken, revokeApiToken, rotateApiToken } from '../../src/auth/api-token.ts';
import { openDatabase } from '../../src/database/database.ts';
import { TokenWatch } from '../../src/server/token-watch.ts';
import { toPublicId } from '../../src/std/public-id.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { insertBuilds } from '../support/events.ts';
import { waitFor } from '../support/wait-for.ts';
import { type FixtureServer, openFixtureServer } from './open-fixture-server.ts';
import type { ProtocolSocket } from './protocol-socket.ts';

describe('the watch', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await openTestDatabase();
  });
  afterAll(() => database[Symbol.asyncDispose]());

  const silent = createLogger('silent');
  const open = () => new TokenWatch({ db: database.db, logger: silent, everyMs: 10 });

  async function createToken(): Promise<{ readonly tokenId: string; readonly secretVersion: number }> {
    const rights = { scopes: ['admin'], projectIds: null, expiresAt: null } as const;
    const { id } = await createApiToken(database.db, { name: 'test', createdBy: 'test', ...rights });
    return { tokenId: id, secretVersion: 1 };
  }

  it('tells each watcher of a lost token once, and no other', async () => {
    const [lost, kept, later] = await Promise.all([createToken(), createToken(), createToken()]);
    using tokens = open();
    const told: string[] = [];
    tokens.watch(lost, () => told.push('first'));
    tokens.watch(kept, () => told.push('kept'));
    tokens.watch(lost, () => told.push('second'));
    const off = tokens.watch(lost, () => told.push('off'));
    off();
    await revokeApiToken(database.db, lost.tokenId, 'test');
    await waitFor(() => told.length >= 2);
    tokens.watch(later, () => told.push('later'));
    await revokeApiToken(database.db, later.tokenId, 'test');
    await waitFor(() => told.includes('later'));
    expect(told.toSorted()).toEqual(['first', 'later', 'second']);
  });

  it('tells those who showed a secret that was replaced, when its grace is over', async () => {
    const first = await createToken();
    using tokens = open();
    const told: string[] = [];
    await rotateApiToken(database.db, { id: first.tokenId, graceSeconds: 60 }, 'test');
    tokens.watch(first, () => told.push('first'));
    tokens.watch({ ...first, secretVersion: 2 }, () => told.push('second'));
    const unknown = { ...first, secretVersion: 3 };
    tokens.watch(unknown, () => told.push('looked'));
    await waitFor(() => told.length > 0);
    expect(told).toEqual(['looked']);
    await sql`update api_tokens set previous_until = now() where id = ${first.tokenId}`.execute(database.db);
    await waitFor(() => told.length > 1);
    expect(told).toEqual(['looked', 'first']);
  });

  it('takes no token away while the database does not answer', async () => {
    const lines: string[] = [];
    const logger = pino({ level: 'debug' }, { write: (line) => void lines.push(line) });
    const db = openDatabase({ url: 'postgres://slipway@127.0.0.1:1/slipway', poolSize: 1, name: 'cut off', logger });
    using tokens = new TokenWatch({ db, logger, everyMs: 10 });
    let lost = false;
    tokens.watch({ tokenId: '0199f3a0-0000-7000-8000-000000000000', secretVersion: 1 }, () => {
      lost = true;
    });
    await waitFor(() => lines.filter((line) => line.includes('could not be looked up')).length >= 3);
    expect(lost).toBe(false);
    await db.destroy();
  });
});

describe('over real sockets', () => {
  const IDLE = 'subscription { idle { number } }';
  const BYTES = 48 * 1024 * 1024;

  let server: FixtureServer;
  let artifactUrl: string;

  beforeAll(async () => {
    server = await openFixtureServer();
    const { stack } = server;
    const { db, artifacts } = stack.orchestrator;
    const path = join(stack.dataFolder, 'large');
    await writeFile(path, Buffer.alloc(BYTES));
    const [build] = await insertBuilds(db);
    if (!build) throw new Error('no build');
    const { buildId } = build;
    const file = {
      id: v7(),
      buildId,
      name: 'large',
      contentType: 'text/plain',
      ...(await artifacts.put(createReadStream(path))),
    };
    await db.transaction().execute((trx) => insertArtifacts(trx, [file]));
    artifactUrl = `${server.server.url}/artifacts/${toPublicId('artifact', file.id)}`;
  });
  afterAll(() => server[Symbol.asyncDispose]());

  /** Everything that can be open, of one secret. */
  async function openAll(authorization: string) {
    const [socket, silent] = await Promise.all([server.connect(authorization), server.connect(authorization)]);
    socket.send({ type: 'subscribe', id: '1', payload: { query: IDLE } });
    const headers = { 'content-type': 'application/json', accept: 'text/event-stream', authorization };
    const events = await fetch(server.url, { method: 'POST', headers, body: JSON.stringify({ query: IDLE }) });
    const download = await startDownload(authorization);
    return { sockets: [socket, silent], events, download };
  }

  /** Of a reader who reads nothing yet: the kernel holds a small part of it. */
  function startDownload(authorization: string): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      request(artifactUrl, { headers: { authorization } }, resolve).once('error', reject).end();
    });
  }

  async function receivedBytes(download: IncomingMessage): Promise<number> {
    let bytes = 0;
    try {
      for await (const chunk of download) bytes += (chunk as Buffer).length;
    } catch {
      // It was cut.
    }
    return bytes;
  }

  async function expectLost({ sockets, events, download }: Awaited<ReturnType<typeof openAll>>, what: string) {
    const started = performance.now();
    const told = events.text();
    for (const socket of sockets) {
      expect(await socket.closed()).toEqual({ code: 4403, reason: 'Forbidden' });
      expect(socket.inbox).toEqual([]);
    }
    const text = await told;
    console.log(`${what}: all that was open was lost after ${(performance.now() - started).toFixed()} ms`);
    expect(text).toContain('"code":"UNAUTHENTICATED"');
    expect(text).toContain('event: complete');
    expect(await receivedBytes(download)).toBeLessThan(BYTES);
  }

  async function expectKept(socket: ProtocolSocket): Promise<void> {
    server.fixture.emit();
    expect((await socket.receive()).type).toBe('next');
    socket.socket.terminate();
    await waitFor(() => server.fixture.openSources === 0);
  }

  it.each([
    ['revoked', (id: string) => revokeApiToken(server.stack.orchestrator.db, id, 'test')],
    [
      'rotated without grace',
      (id: string) => rotateApiToken(server.stack.orchestrator.db, { id, graceSeconds: 0 }, 'test'),
    ],
  ])('a token that is %s loses all that it has open, and others lose nothing', async (what, lose) => {
    const [token, other] = await Promise.all([server.createToken(), server.createToken()]);
    const open = await openAll(token.authorization);
    const kept = await server.connect(other.authorization);
    kept.send({ type: 'subscribe', id: '1', payload: { query: IDLE } });
    await waitFor(() => server.fixture.openSources === 3);
    await lose(token.id);
    await expectLost(open, what);
    await expectKept(kept);
  });

  it('a token that expires loses all that it has open', async () => {
    const { authorization } = await server.createToken({ expiresAt: new Date(Date.now() + 2_500) });
    await expectLost(await openAll(authorization), 'expires 2.5 s after it was made');
  });

  it('a secret that was replaced loses all that it has open when its grace ends, and the new one nothing', async () => {
    const { id, authorization } = await server.createToken();
    const open = await openAll(authorization);
    const rotated = await rotateApiToken(server.stack.orchestrator.db, { id, graceSeconds: 1 }, 'test');
    const kept = await server.connect(`Bearer ${rotated.token}`);
    kept.send({ type: 'subscribe', id: '1', payload: { query: IDLE } });
    await waitFor(() => server.fixture.openSources === 3);
    await expectLost(open, 'rotated with a grace of 1 s');
    await expectKept(kept);
  });
});
