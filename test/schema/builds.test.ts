import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { insertArtifacts } from '../../src/artifacts/artifact.ts';
import { fromPublicId, toPublicId } from '../../src/std/public-id.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { type Answer, Api, type Operation, viewer } from './api.ts';
import { FAILED, finish, print } from './finish.ts';

let stack: TestStack;
let api: Api;
let projectId: string;

beforeAll(async () => {
  stack = await openTestStack();
  api = new Api(stack.orchestrator);
  projectId = toPublicId('project', (await stack.createProject()).id);
});
afterAll(() => stack[Symbol.asyncDispose]());

const START = /* GraphQL */ `
  mutation ($input: StartBuildInput!) {
    startBuild(input: $input) {
      __typename
      ... on StartBuildPayload { deduplicated build { id number status phase lastEventCursor } }
      ... on UserError { code message }
      ... on InvalidInputError { issues { path message } }
      ... on NotFoundError { resource }
      ... on IdempotencyConflictError { existing { id } }
    }
  }
`;

/** What a mutation answers. */
async function send(
  source: string,
  input: Record<string, unknown>,
  operation: Operation = {},
): Promise<Answer['data']> {
  return Object.values(await api.data(source, { ...operation, variables: { input } }))[0];
}

/** The UUID of a build that is accepted. */
async function start(spec: Record<string, unknown> = {}): Promise<string> {
  const { build } = await send(START, { projectId, spec: { prompt: 'work', ...spec } });
  return fromPublicId('build', build.id) ?? '';
}

const publicId = (uuid: string) => toPublicId('build', uuid);

describe('startBuild', () => {
  it('accepts a build, which is then found in every way', async () => {
    const answer = await send(START, { projectId, spec: { prompt: 'find me' }, idempotencyKey: 'find-me' });
    expect(answer).toMatchObject({
      __typename: 'StartBuildPayload',
      deduplicated: false,
      build: {
        id: expect.stringMatching(/^build_[0-9a-f]{32}$/),
        status: 'PENDING',
        phase: 'QUEUED',
        lastEventCursor: '1',
      },
    });
    const { id } = answer.build;
    const found = await api.data(
      `query ($id: ID!, $projectId: ID!) {
        build(id: $id) { id spec { prompt branch provider autoPush limits { wallSeconds } } project { id } }
        node(id: $id) { __typename id ... on Build { number } }
        nodes(ids: [$id, "build_x", "nonsense", ""]) { id }
        buildByIdempotencyKey(projectId: $projectId, key: "find-me") { id idempotencyKey source }
        builds(first: 1, filter: { projectId: $projectId }) { totalCount nodes { id } edges { cursor } }
        project(id: $projectId) { builds(first: 1) { totalCount nodes { id } } }
      }`,
      { variables: { id, projectId } },
    );
    expect(found).toMatchObject({
      build: { id, spec: { prompt: 'find me', branch: 'main', provider: 'scripted', autoPush: true } },
      node: { __typename: 'Build', id },
      nodes: [{ id }, null, null, null],
      buildByIdempotencyKey: { id, idempotencyKey: 'find-me', source: 'API' },
      builds: { nodes: [{ id }] },
      project: { builds: { nodes: [{ id }] } },
    });
  });

  it('gives the first build for the same key, and an error that names it for another input', async () => {
    const input = { projectId, spec: { prompt: 'once' }, idempotencyKey: 'once' };
    const first = await send(START, input);
    expect(await send(START, input)).toEqual({ ...first, deduplicated: true });
    expect(await send(START, { ...input, spec: { prompt: 'twice' } })).toMatchObject({
      __typename: 'IdempotencyConflictError',
      code: 'IDEMPOTENCY_CONFLICT',
      existing: { id: first.build.id },
    });
  });

  it('names everything that is wrong with the input, and writes nothing', async () => {
    const spec = {
      prompt: 'a\u0000b',
      branch: '-x',
      priority: 1000,
      labels: [{ key: '!', value: 'x' }],
      limits: { wallSeconds: 0 },
    };
    const before = await countBuilds();
    const answer = await send(START, { projectId, spec });
    expect(answer).toMatchObject({ __typename: 'InvalidInputError' });
    expect(answer.issues.map((issue: { path: string[] }) => issue.path.join('.')).toSorted()).toEqual([
      'input.spec.branch',
      'input.spec.labels.0.key',
      'input.spec.limits.wallSeconds',
      'input.spec.priority',
      'input.spec.prompt',
    ]);
    expect(await send(START, { projectId, spec: { prompt: 'x' }, idempotencyKey: 'a b' })).toMatchObject({
      issues: [{ path: ['input', 'idempotencyKey'] }],
    });
    expect(await send(START, { projectId, spec: { prompt: 'x', provider: 'nobody' } })).toMatchObject({
      code: 'UNKNOWN_PROVIDER',
      issues: [{ path: ['input', 'spec', 'provider'] }],
    });
    expect(await countBuilds()).toBe(before);
  });

  it('says NOT_FOUND for a project that is unknown, malformed or of another type', async () => {
    for (const id of [toPublicId('project', v7()), 'project_1', toPublicId('build', v7()), '', '💥']) {
      expect(await send(START, { projectId: id, spec: { prompt: 'x' } })).toMatchObject({
        __typename: 'NotFoundError',
        code: 'NOT_FOUND',
        resource: 'project',
      });
    }
  });
});

async function countBuilds(): Promise<number> {
  return (await api.data('{ builds(first: 0) { totalCount } }')).builds.totalCount;
}

describe('createAndBuild', () => {
  const CREATE = /* GraphQL */ `
    mutation ($input: CreateAndBuildInput!) {
      createAndBuild(input: $input) {
        __typename
        ... on CreateAndBuildPayload { deduplicated callbackSecret build { number } project { id slug callbackSecret } }
        ... on UserError { code message }
        ... on InvalidInputError { issues { path } }
      }
    }
  `;

  it('makes both once and gives the signing secret', async () => {
    const input = { project: { name: 'Two in One' }, spec: { prompt: 'work' }, idempotencyKey: 'two' };
    const me = viewer();
    const first = await send(CREATE, input, { viewer: me });
    expect(first).toMatchObject({
      __typename: 'CreateAndBuildPayload',
      deduplicated: false,
      build: { number: 1 },
      project: { slug: 'two-in-one' },
    });
    expect(first.callbackSecret).toMatch(/^whsec_/);
    expect(first.project.callbackSecret).toBe(first.callbackSecret);
    expect(await send(CREATE, input, { viewer: me })).toEqual({ ...first, deduplicated: true });
    // Another token is another actor, for which the slug is taken.
    expect(await send(CREATE, input)).toMatchObject({ __typename: 'ConflictError', code: 'CONFLICT' });
  });

  it('refuses both when one is wrong', async () => {
    const answer = await send(CREATE, { project: { name: 'Half' }, spec: { prompt: ' ' } });
    expect(answer).toMatchObject({ issues: [{ path: ['input', 'spec', 'prompt'] }] });
    expect(await api.data('{ project(slug: "half") { id } }')).toEqual({ project: null });
  });
});

describe('the course of a build', () => {
  it('is changed by cancelBuild, once', async () => {
    const id = publicId(await start());
    const cancel = `mutation ($input: CancelBuildInput!) { cancelBuild(input: $input) {
      ... on CancelBuildPayload { build { status cancelReason finishedAt result { success } failure { reason } } }
      ... on UserError { code } ... on BuildStateError { status } ... on InvalidInputError { issues { path } } } }`;
    expect(await send(cancel, { id, reason: 'x'.repeat(1_001) })).toMatchObject({
      issues: [{ path: ['input', 'reason'] }],
    });
    expect(await send(cancel, { id, reason: 'enough' })).toMatchObject({
      build: { status: 'CANCELLED', cancelReason: 'enough', result: { success: false }, failure: null },
    });
    expect(await send(cancel, { id })).toEqual({ code: 'BUILD_STATE', status: 'CANCELLED' });
    expect(await send(cancel, { id: publicId(v7()) })).toEqual({ code: 'NOT_FOUND' });
  });

  it('begins again with retryBuild, and both know each other', async () => {
    const uuid = await start();
    const retry = `mutation ($input: RetryBuildInput!) { retryBuild(input: $input) {
      ... on RetryBuildPayload { deduplicated build { id source retryOf { id } spec { resumeSessionOf } } }
      ... on UserError { code } } }`;
    expect(await send(retry, { id: publicId(uuid) })).toEqual({ code: 'BUILD_STATE' });
    await finish(stack.orchestrator, uuid);
    const input = { id: publicId(uuid), resumeSession: true, idempotencyKey: 'again' };
    const answer = await send(retry, input);
    expect(answer).toMatchObject({
      deduplicated: false,
      build: { source: 'RETRY', retryOf: { id: publicId(uuid) }, spec: { resumeSessionOf: publicId(uuid) } },
    });
    expect(await send(retry, input)).toMatchObject({ deduplicated: true });
    const { build } = await api.data('query ($id: ID!) { build(id: $id) { retries { totalCount nodes { id } } } }', {
      variables: { id: publicId(uuid) },
    });
    expect(build.retries).toEqual({ totalCount: 1, nodes: [{ id: answer.build.id }] });
  });
});

const END = /* GraphQL */ `
  query ($id: ID!) {
    build(id: $id) {
      status phase durationMs queuedMs usage { inputTokens costUsd } usageByPhase { phase usage { turns } }
      failure { reason remedy retryable }
      result { success output error { reason phase } commitSha publication filesChanged { path status additions }
               durationMs usage { turns } sessionId artifacts { id } }
      artifacts { nodes { id name url sizeBytes contentType } }
      callbacks { id url status messageId attempts { number } build { id } }
      events { nodes { __typename cursor type ... on BuildFinished { status reason result { success } } } pageInfo { endCursor } }
    }
  }
`;

describe('a finished build', () => {
  it('shows its result, artifacts and callback', async () => {
    const uuid = await start({ callbackUrl: 'http://127.0.0.1:9/hook' });
    const artifactId = v7();
    const file = {
      id: artifactId,
      buildId: uuid,
      name: 'dist/a.txt',
      contentType: 'text/plain',
      sizeBytes: 3,
      sha256: 'ab',
    };
    await stack.orchestrator.db.transaction().execute((trx) => insertArtifacts(trx, [file]));
    await finish(stack.orchestrator, uuid);
    const { build } = await api.data(END, { variables: { id: publicId(uuid) } });
    expect(build).toMatchObject({
      status: 'COMPLETED',
      phase: 'DONE',
      usage: { inputTokens: 5_000_000_000, costUsd: 0.25 },
      usageByPhase: [{ phase: 'AGENT', usage: { turns: 2 } }],
      failure: null,
      result: { success: true, output: 'done', error: null, commitSha: 'c0ffee', filesChanged: [{ status: 'ADDED' }] },
      artifacts: {
        nodes: [{ name: 'dist/a.txt', url: expect.stringMatching(/^http:.*\/artifacts\/artifact_[0-9a-f]+$/) }],
      },
      callbacks: [{ url: 'http://127.0.0.1:9/hook', status: 'PENDING', attempts: [], build: { id: publicId(uuid) } }],
      events: {
        nodes: [
          { __typename: 'BuildQueued', cursor: '1' },
          { __typename: 'BuildFinished', cursor: '2', status: 'COMPLETED', reason: null, result: { success: true } },
        ],
      },
    });
    const ids = { a: toPublicId('artifact', artifactId), d: build.callbacks[0].id };
    const nodes = await api.data(
      'query ($a: ID!, $d: ID!) { a: node(id: $a) { __typename id } d: node(id: $d) { __typename id } }',
      {
        variables: ids,
      },
    );
    expect(nodes).toEqual({
      a: { __typename: 'Artifact', id: ids.a },
      d: { __typename: 'CallbackDelivery', id: ids.d },
    });
    const redeliver = `mutation ($input: RedeliverCallbackInput!) { redeliverCallback(input: $input) {
      ... on RedeliverCallbackPayload { delivery { id status tries } } ... on UserError { code } } }`;
    const sent = await send(redeliver, { buildId: publicId(uuid) });
    expect(sent).toEqual({ delivery: { id: ids.d, status: 'PENDING', tries: 0 } });
    expect(await send(redeliver, { buildId: publicId(await start()) })).toEqual({ code: 'NOT_FOUND' });
  });

  it('says why it failed and what to do', async () => {
    const uuid = await start();
    await finish(stack.orchestrator, uuid, FAILED);
    const { build } = await api.data(END, { variables: { id: publicId(uuid) } });
    expect(build).toMatchObject({
      status: 'FAILED',
      failure: { reason: 'NO_CHANGES', retryable: false, remedy: expect.stringContaining('autoCommit') },
      result: { success: false, error: { reason: 'NO_CHANGES', phase: 'VERIFYING' } },
    });
  });
});

describe('a log', () => {
  it('is paged from both ends, over chunks of any size', async () => {
    const uuid = await start();
    const texts = Array.from({ length: 57 }, (_, index) => `line ${index + 1}`);
    for (let at = 0, size = 1; at < texts.length; at += size, size = (size % 7) + 1) {
      await print(stack.orchestrator, uuid, texts.slice(at, at + size));
    }
    const read = async (args: string) => {
      const source = `query ($id: ID!) { build(id: $id) { log(${args}) { totalCount nodes { number text }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }`;
      return (await api.data(source, { variables: { id: publicId(uuid) } })).build.log;
    };
    for (const size of [1, 10, 57, 100]) {
      let forward: string[] = [];
      let page = await read(`first: ${size}`);
      for (let pages = 0; pages < 60; pages += 1) {
        forward = [...forward, ...page.nodes.map((line: { text: string }) => line.text)];
        if (!page.pageInfo.hasNextPage) break;
        page = await read(`first: ${size}, after: "${page.pageInfo.endCursor}"`);
      }
      expect(forward).toEqual(texts);
    }
    const tail = await read('last: 3');
    expect(tail.nodes.map((line: { number: number }) => line.number)).toEqual([55, 56, 57]);
    expect(tail).toMatchObject({ totalCount: 57, pageInfo: { hasPreviousPage: true, hasNextPage: false } });
    const before = await read('last: 3, before: "4"');
    expect(before.nodes.map((line: { number: number }) => line.number)).toEqual([1, 2, 3]);
    expect(before.pageInfo).toMatchObject({ hasPreviousPage: false, hasNextPage: true });
    expect((await read('first: 5, before: "3"')).nodes).toHaveLength(2);
    expect((await read('first: 5, after: "1000"')).nodes).toEqual([]);
    expect((await read('first: 0')).nodes).toEqual([]);
  });
});

describe('limits', () => {
  const fields = `id number status phase waitingFor source priority createdAt startedAt finishedAt durationMs queuedMs
    requestedBy attempt idempotencyKey lastEventCursor cancelRequestedAt cancelReason usage { costUsd } spec { prompt }`;
  const result = `result { success output commitSha commitUrl publication branch durationMs sessionId
    error { reason phase message } filesChanged { path status additions deletions } usage { inputTokens costUsd } }`;

  it('let a page of a hundred builds with all that matters through', async () => {
    const { errors } = await api.run(`{ builds(first: 100) { nodes { ${fields} project { id slug } ${result} } } }`);
    expect(errors).toEqual([]);
  });

  it('stop what is too deep or too much, before anything is read', async () => {
    const tooMuch = await api.run('{ builds(first: 100) { nodes { log(first: 100) { nodes { text } } } } }');
    expect(tooMuch.errors[0]?.extensions).toMatchObject({ code: 'QUERY_TOO_COMPLEX', limit: 5_000 });
    const nested = (depth: number): string => (depth === 0 ? 'id' : `retryOf { ${nested(depth - 1)} }`);
    expect((await api.run(`{ builds(first: 1) { nodes { ${nested(9)} } } }`)).errors).toEqual([]);
    const tooDeep = await api.run(`{ builds(first: 1) { nodes { ${nested(10)} } } }`);
    expect(tooDeep.errors[0]?.extensions).toMatchObject({ code: 'QUERY_TOO_DEEP', limit: 12 });
  });
});

describe('arguments that are wrong', () => {
  const cases: [string, string, string[]][] = [
    ['{ builds(after: "x") { nodes { id } } }', 'INVALID_CURSOR', ['after']],
    ['{ projects(last: 1, before: "💥") { nodes { id } } }', 'INVALID_CURSOR', ['before']],
    ['{ builds(first: 101) { nodes { id } } }', 'INVALID_INPUT', ['first']],
    ['{ builds(filter: { template: "a\\u0000" }) { nodes { id } } }', 'INVALID_INPUT', ['filter', 'template']],
    [
      '{ builds(filter: { label: [{ key: "a", value: "\\u0000" }] }) { nodes { id } } }',
      'INVALID_INPUT',
      ['filter', 'label'],
    ],
    ['{ project { id } }', 'INVALID_INPUT', ['id']],
    ['{ project(slug: "\\u0000") { id } }', 'INVALID_INPUT', ['slug']],
    ['{ projects(filter: { search: "\\u0000" }) { nodes { id } } }', 'INVALID_INPUT', ['filter', 'search']],
    ['{ buildStats { series(bucket: DAY, timeZone: "Nowhere") { start } } }', 'INVALID_TIME_ZONE', ['timeZone']],
    [
      '{ buildStats(filter: { createdAt: { from: "2026-01-02T00:00:00Z", to: "2026-01-01T00:00:00Z" } }) { total } }',
      'INVALID_RANGE',
      ['filter', 'createdAt', 'to'],
    ],
  ];

  it.each(cases)('are named: %s', async (source, code, path) => {
    const { errors } = await api.run(source);
    expect(errors).toHaveLength(1);
    expect(errors[0]?.extensions).toMatchObject({ code, issues: [{ path }] });
  });
});
