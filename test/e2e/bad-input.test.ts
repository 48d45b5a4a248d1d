/** Whatever is wrong has a name and the path of its field, and leaves no trace in any table. */
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { startBuild } from '../../src/builds/start-build.ts';
import { toPublicId } from '../../src/std/public-id.ts';
import { openSocket } from '../server/protocol-socket.ts';
import { openTestApi, type TestApi } from '../support/api.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { BAD_SPECS } from './bad-specs.ts';
import { request } from './graphql-request.ts';

let stack: TestStack;
let api: TestApi;
let projectId: string;
let buildId: string;
let rowsBefore: unknown;

beforeAll(async () => {
  stack = await openTestStack({ SLIPWAY_CALLBACK_ALLOW_PRIVATE: 'false' });
  api = await openTestApi(stack);
  const project = await stack.createProject();
  const spec = { prompt: 'x', runAfter: new Date(Date.now() + 3_600_000) };
  const { build } = await startBuild(stack.orchestrator, { projectId: project.id, spec }, 'test');
  projectId = toPublicId('project', project.id);
  buildId = toPublicId('build', build.id);
  rowsBefore = await countRows();
});
afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await stack[Symbol.asyncDispose]();
});
afterEach(async () => expect(await countRows()).toEqual(rowsBefore));

async function countRows(): Promise<unknown> {
  const { rows } = await sql`select
    (select count(*) from projects) as projects, (select count(*) from credentials) as credentials,
    (select count(*) from build_audit) as builds, (select count(*) from build_events) as events,
    (select count(*) from pgboss.job) as jobs, (select count(*) from deliveries) as deliveries,
    (select count(*) from project_events) as activity, (select count(*) from audit_log) as audit,
    (select sum(build_count) from projects) as build_numbers, (select sum(last_seq) from build_audit) as event_numbers
  `.execute(stack.orchestrator.db);
  return rows[0];
}

/** The result of the mutation `name`, which takes one `input`; `more` is asked of it besides. */
async function mutate(name: string, type: string, { input, more }: { input: object; more: string }) {
  const query = `mutation ($input: ${type}!) {
    ${name}(input: $input) { __typename ... on UserError { code message } ... on ${more} }
  }`;
  const answer = await request(api, query, { input });
  expect(answer).toMatchObject({ status: 200, errors: [] });
  return answer.data[name];
}

const INVALID = 'InvalidInputError { issues { path message } }';
const NOT_FOUND = 'NotFoundError { resource }';
const startWith = (input: object) => mutate('startBuild', 'StartBuildInput', { input, more: INVALID });
const createWith = (input: object) => mutate('createAndBuild', 'CreateAndBuildInput', { input, more: INVALID });
const goodSpec = { prompt: 'x' };

function expectRefused(result: { issues: { message: string }[] }, code: string, path: readonly string[]): void {
  expect(result).toMatchObject({ __typename: 'InvalidInputError', code, issues: [{ path }] });
  expect(result.issues).toHaveLength(1);
  expect(result.issues[0]?.message).not.toBe('');
}

describe.each(BAD_SPECS)('$what', ({ spec, code, path }) => {
  const bad = { ...goodSpec, ...spec };

  test('is refused by startBuild and by createAndBuild', async () => {
    expectRefused(await startWith({ projectId, spec: bad }), code, ['input', 'spec', ...path]);
    const created = await createWith({ project: { name: 'New' }, spec: bad });
    expectRefused(created, code, ['input', 'spec', ...path]);
  });
});

test('everything that is wrong is told at once', async () => {
  const spec = { prompt: '', branch: '..', priority: 1_000, limits: { maxTurns: 0 } };
  const { issues } = await startWith({ projectId, spec });
  expect(issues.map(({ path }: { path: string[] }) => path.slice(2).join('.'))).toEqual([
    'prompt',
    'branch',
    'priority',
    'limits.maxTurns',
  ]);
});

test.each(['', ' ', 'a b', 'a\0', '\u00fc', 'x'.repeat(256)])('the idempotency key %j is refused', async (key) => {
  const result = await startWith({ projectId, spec: goodSpec, idempotencyKey: key });
  expectRefused(result, 'INVALID_INPUT', ['input', 'idempotencyKey']);
});

test.each([
  ['an empty name', 'INVALID_INPUT', { name: ' ' }, ['name']],
  ['a name with NUL', 'INVALID_INPUT', { name: 'a\0' }, ['name']],
  ['a bad slug', 'INVALID_INPUT', { slug: 'A B' }, ['slug']],
  [
    'a URL with a password',
    'REPOSITORY_URL_DENIED',
    { repositoryUrl: 'https://a:b@host.example/r.git' },
    ['repositoryUrl'],
  ],
  ['a URL that runs a program', 'REPOSITORY_URL_DENIED', { repositoryUrl: 'ext::sh -c id' }, ['repositoryUrl']],
  ['a bad branch', 'INVALID_REF', { defaultBranch: '--x' }, ['defaultBranch']],
  ['an unknown template', 'UNKNOWN_TEMPLATE', { template: 'nothing' }, ['template']],
  ['an unknown provider', 'UNKNOWN_PROVIDER', { settings: { provider: 'nobody' } }, ['settings', 'provider']],
  [
    'a private callback',
    'CALLBACK_URL_DENIED',
    { settings: { callbackUrl: 'http://2130706433/' } },
    ['settings', 'callbackUrl'],
  ],
  [
    'a limit out of range',
    'INVALID_INPUT',
    { settings: { limits: { maxTurns: 0 } } },
    ['settings', 'limits', 'maxTurns'],
  ],
  [
    'credentials of no remote',
    'INVALID_INPUT',
    { gitCredentials: { username: 'a', password: 'b-long-enough' } },
    ['gitCredentials'],
  ],
])('a project with %s is refused: %s', async (_what, code, changes, path) => {
  const project = { name: 'New', ...changes };
  const alone = await mutate('createProject', 'ProjectInput', { input: project, more: INVALID });
  expectRefused(alone, code, ['input', ...path]);
  const both = await createWith({ project, spec: goodSpec });
  expectRefused(both, code, ['input', 'project', ...path]);
});

const wrongIds = (type: string, other: string) => [
  '',
  'x',
  `${type}_`,
  `${type}_${'0'.repeat(32)}`,
  `${type}_${'g'.repeat(32)}`,
  `${type}_0199f3a0-0000-7000-8000-000000000000`,
  other,
  other.replace(/^[a-z]+/, type).toUpperCase(),
  'a\0b',
];

test('an id of nothing, of another type or of no form is not found', async () => {
  const expectNotFound = async (resource: string, name: string, type: string, input: object) =>
    expect(await mutate(name, type, { input, more: NOT_FOUND })).toMatchObject({
      __typename: 'NotFoundError',
      code: 'NOT_FOUND',
      resource,
    });
  for (const id of wrongIds('project', buildId)) {
    await expectNotFound('project', 'startBuild', 'StartBuildInput', { projectId: id, spec: goodSpec });
    await expectNotFound('project', 'updateProject', 'UpdateProjectInput', { id, name: 'B' });
    await expectNotFound('project', 'archiveProject', 'ArchiveProjectInput', { id });
  }
  for (const id of wrongIds('build', projectId)) {
    await expectNotFound('build', 'cancelBuild', 'CancelBuildInput', { id });
    await expectNotFound('build', 'retryBuild', 'RetryBuildInput', { id });
    expect(await request(api, 'query ($id: ID!) { build(id: $id) { id } node(id: $id) { id } }', { id })).toMatchObject(
      id === projectId ? { data: { build: null } } : { data: { build: null, node: null }, errors: [] },
    );
  }
});

test.each([
  ['prompt', 7],
  ['priority', 1.5],
  ['priority', 2 ** 31],
  ['runAfter', 'tomorrow'],
  ['labels', [{ key: 'a' }]],
  ['colour', 'red'],
])('a value of another type in %s (%j) never reaches a resolver', async (field, value) => {
  const query = 'mutation ($input: StartBuildInput!) { startBuild(input: $input) { __typename } }';
  const { status, data, errors } = await request(api, query, {
    input: { projectId, spec: { ...goodSpec, [field]: value } },
  });
  expect({ status, data }).toEqual({ status: 200, data: null });
  expect(errors[0]?.message).toMatch(new RegExp(`^Variable "\\$input" has invalid value at \\.spec.*${field}`));
  expect(errors[0]?.extensions.code).toBe('INVALID_INPUT');
});

const BAD_CURSORS = ['', ' ', 'x', '-1', '+1', '1.5', '1e3', '0x1', ' 1', '1\0', '9'.repeat(16), '\u0661'];
const badCursor = { code: 'INVALID_CURSOR', issues: [{ path: ['after'] }] };

describe.each(BAD_CURSORS)('the cursor %j', (after) => {
  test('is refused by lists', async () => {
    const events =
      'query ($id: ID!, $after: String) { build(id: $id) { events(first: 1, after: $after) { edges { cursor } } } }';
    const ofBuild = await request(api, events, { id: buildId, after });
    expect(ofBuild.errors).toMatchObject([{ path: ['build', 'events'], extensions: badCursor }]);
    const builds = 'query ($after: String) { builds(first: 1, after: $after) { edges { cursor } } }';
    expect((await request(api, builds, { after })).errors).toMatchObject([{ path: ['builds'], extensions: badCursor }]);
  });

  test.each([
    ['buildProgress', 'buildId: $id', '__typename', () => buildId],
    ['buildLog', 'buildId: $id', 'cursor', () => buildId],
    ['projectActivity', 'projectId: $id', 'cursor', () => projectId],
  ] as const)('is refused by %s, over SSE and WebSocket', async (field, args, selection, idOf) => {
    const query = `subscription ($id: ID!, $after: String) { ${field}(${args}, after: $after) { ${selection} } }`;
    const payload = { query, variables: { id: idOf(), after } };
    for (const answer of [await overEvents(payload), await overSocket(payload)]) {
      expect(answer).toMatchObject([{ path: [field], extensions: badCursor }]);
    }
  });
});

test('a subscription to nothing is refused, over SSE and WebSocket', async () => {
  const query = 'subscription ($id: ID!) { buildProgress(buildId: $id) { cursor } }';
  for (const id of wrongIds('build', projectId)) {
    const payload = { query, variables: { id } };
    for (const answer of [await overEvents(payload), await overSocket(payload)]) {
      expect(answer).toMatchObject([{ path: ['buildProgress'], extensions: { code: 'NOT_FOUND', resource: 'build' } }]);
    }
  }
});

test.each([-1, 101, 2_147_483_647])('a page of %i is refused', async (first) => {
  const { errors } = await request(api, 'query ($first: Int) { builds(first: $first) { edges { cursor } } }', {
    first,
  });
  expect(errors).toMatchObject([
    { path: ['builds'], extensions: { code: 'INVALID_INPUT', issues: [{ path: ['first'] }] } },
  ]);
});

interface Payload {
  readonly query: string;
  readonly variables: object;
}

/** The errors of the one result. */
async function overEvents(payload: Payload): Promise<unknown> {
  const response = await fetch(api.url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'text/event-stream',
      authorization: `Bearer ${api.token}`,
    },
    body: JSON.stringify(payload),
  });
  const text = await response.text();
  return JSON.parse(/^data: (.+)$/m.exec(text)?.[1] ?? text).errors;
}

async function overSocket(payload: Payload): Promise<unknown> {
  const socket = await openSocket(api.url);
  try {
    socket.send({ type: 'connection_init', payload: { authorization: `Bearer ${api.token}` } });
    expect((await socket.receive()).type).toBe('connection_ack');
    socket.send({ type: 'subscribe', id: '1', payload });
    const message = await socket.receive();
    const answer = message.payload as { errors?: unknown };
    return message.type === 'error' ? answer : answer.errors;
  } finally {
    socket.socket.terminate();
  }
}
