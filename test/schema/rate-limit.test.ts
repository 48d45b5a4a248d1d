/** What a token may still ask for, as a field; and where artifacts are. */
import { v7 } from 'uuid';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { insertArtifacts } from '../../src/artifacts/artifact.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { toPublicId } from '../../src/std/public-id.ts';
import { requestData } from '../e2e/graphql-request.ts';
import { openTestApi, type TestApi } from '../support/api.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';

let stack: TestStack;
let api: TestApi;
beforeAll(async () => {
  stack = await openTestStack();
  api = await openTestApi(stack);
});
afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await stack[Symbol.asyncDispose]();
});

const RATE_LIMIT = '{ rateLimit { limit cost remaining resetAt } }';

it('a token without any scope for it may ask what it has left', async () => {
  const token = await api.makeToken(['workers']);
  const { rateLimit: first } = await requestData({ url: api.url, token }, RATE_LIMIT, {});
  expect(first).toMatchObject({ limit: 300_000, cost: 6 });
  expect(first.remaining).toBeGreaterThan(290_000);
  expect(Date.parse(first.resetAt)).toBeGreaterThan(Date.now() - 60_000);
});

it('a thousand builds in a minute are within the budget', async () => {
  const { id } = await stack.createProject();
  const query = `mutation ($id: ID!) { startBuild(input: { projectId: $id, spec: { prompt: "x" } }) {
    ... on StartBuildPayload { build { id number status createdAt } deduplicated } } }`;
  const response = await fetch(api.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${api.token}` },
    body: JSON.stringify({ query, variables: { id: toPublicId('project', id) } }),
  });
  const { extensions } = (await response.json()) as { extensions: { rateLimit: { limit: number; cost: number } } };
  expect(extensions.rateLimit.limit / extensions.rateLimit.cost).toBeGreaterThan(1_000);
});

it('an artifact is at the port that the server listens on', async () => {
  const { id: projectId } = await stack.createProject();
  const { build } = await startBuild(stack.orchestrator, { projectId, spec: { prompt: 'x' } }, 'test');
  const kept = { contentType: 'text/plain', sizeBytes: 1, sha256: 'a'.repeat(64) };
  const artifact = { id: v7(), buildId: build.id, name: 'a.txt', ...kept };
  await stack.orchestrator.db.transaction().execute((trx) => insertArtifacts(trx, [artifact]));
  const query = 'query ($id: ID!) { build(id: $id) { artifacts { nodes { url } } } }';
  const data = await requestData(api, query, { id: toPublicId('build', build.id) });
  const url = `http://127.0.0.1:${api.port}/artifacts/${toPublicId('artifact', artifact.id)}`;
  expect(data.build.artifacts.nodes).toEqual([{ url }]);
});
