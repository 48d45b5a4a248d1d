/** The GraphQL-over-HTTP specification, as graphql-http audits it, against the real schema. */
import { serverAudits } from 'graphql-http';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { schema } from '../../schema/index.ts';
import { createApiToken } from '../../src/auth/api-token.ts';
import { type OpenServer, openServer } from '../../src/server/http-server.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';

let stack: TestStack;
let server: OpenServer;
let authorization: string;
beforeAll(async () => {
  // Some of them ask for types.
  stack = await openTestStack({ SLIPWAY_INTROSPECTION: 'true' });
  const { orchestrator } = stack;
  server = await openServer({ orchestrator, schema, host: '127.0.0.1', port: 0 });
  const { token } = await createApiToken(orchestrator.db, {
    name: 'audit',
    scopes: ['admin'],
    projectIds: null,
    expiresAt: null,
    createdBy: 'test',
  });
  authorization = `Bearer ${token}`;
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await stack[Symbol.asyncDispose]();
});

const audits = serverAudits({
  url: () => `${server.url}/graphql`,
  fetchFn: (url: string, init: RequestInit = {}) =>
    fetch(url, { ...init, headers: { ...(init.headers as Record<string, string>), authorization } }),
});

it('has all of them', () => {
  expect(audits).toHaveLength(61);
});

/** Queries come by POST alone: what is in a URL is kept in logs, and any page can make a browser send it. */
const GET_QUERIES = new Set(['5A70', 'D6D5', '6A70']);

it.each(audits.map((audit) => [`${audit.id}: ${audit.name}`, audit] as const))('%s', async (_name, audit) => {
  const { status, ...result } = await audit.fn();
  if (GET_QUERIES.has(audit.id)) return expect(status).toBe('notice');
  expect({ status, reason: 'reason' in result ? result.reason : null }).toEqual({ status: 'ok', reason: null });
});
