/** Without the database the server says so at once, and comes back by itself. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openDatabase } from '../../src/database/database.ts';
import { type OpenServer, openServer } from '../../src/server/http-server.ts';
import { type FixtureServer, openFixtureServer, readAnswer } from './open-fixture-server.ts';
import { openSocket } from './protocol-socket.ts';

let fixture: FixtureServer;
/** Its database is a port where nobody listens. */
let cutOff: OpenServer;
const opened = new AsyncDisposableStack();
beforeAll(async () => {
  fixture = opened.use(await openFixtureServer());
  const { orchestrator } = fixture.stack;
  const url = 'postgres://slipway@127.0.0.1:1/slipway';
  const db = openDatabase({ url, poolSize: 2, name: 'cut off', logger: orchestrator.logger });
  opened.defer(() => db.destroy());
  const { schema } = fixture.fixture;
  cutOff = opened.use(await openServer({ orchestrator: { ...orchestrator, db }, schema, host: '127.0.0.1', port: 0 }));
});
afterAll(() => opened.disposeAsync());

function ask(url: string): Promise<Response> {
  const headers = { 'content-type': 'application/json', authorization: fixture.authorization };
  return fetch(`${url}/graphql`, { method: 'POST', headers, body: '{"query":"{ hello }"}' });
}

it('answers operations with 503 and UNAVAILABLE', async () => {
  const { status, errors } = await readAnswer(await ask(cutOff.url));
  expect(status).toBe(503);
  expect(errors).toMatchObject([{ extensions: { code: 'UNAVAILABLE', retryable: true } }]);
  expect(JSON.stringify(errors)).not.toContain('127.0.0.1');
});

it('closes WebSockets with a code after which clients try again', async () => {
  const socket = await openSocket(`${cutOff.url}/graphql`);
  socket.send({ type: 'connection_init', payload: { authorization: fixture.authorization } });
  expect(await socket.closed()).toMatchObject({ code: 1013 });
});

it('answers for artifacts with a problem', async () => {
  const headers = { authorization: fixture.authorization };
  const response = await fetch(`${cutOff.url}/artifacts/artifact_0199f3a0000070008000000000000000`, { headers });
  expect(response.status).toBe(503);
  expect(response.headers.get('retry-after')).toBe('2');
  expect(await response.json()).toMatchObject({ status: 503, title: 'Service Unavailable' });
});

it('is not ready, and still alive', async () => {
  const ready = await fetch(`${cutOff.url}/readyz`);
  expect({ status: ready.status, body: await ready.json() }).toMatchObject({
    status: 503,
    body: { check: 'database' },
  });
  expect((await fetch(`${cutOff.url}/healthz`)).status).toBe(200);
});

it('keeps a defect of its own inside, under an id', async () => {
  const { db } = fixture.stack.orchestrator;
  await db.schema.alterTable('api_tokens').renameTo('lost').execute();
  try {
    const { status, errors } = await readAnswer(await ask(fixture.server.url));
    expect(status).toBe(500);
    expect(errors[0]?.extensions).toEqual({ code: 'INTERNAL', errorId: expect.stringMatching(/^[0-9a-f-]{36}$/) });
    expect(JSON.stringify(errors)).not.toContain('api_tokens');
    const headers = { authorization: fixture.authorization };
    const artifact = await fetch(`${fixture.server.url}/artifacts/artifact_1`, { headers });
    expect(artifact.status).toBe(500);
    expect(await artifact.text()).not.toContain('api_tokens');
  } finally {
    await db.schema.alterTable('lost').renameTo('api_tokens').execute();
  }
  expect((await ask(fixture.server.url)).status).toBe(200);
});
