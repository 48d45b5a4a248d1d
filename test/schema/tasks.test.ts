/** The queue of tasks over the API, as workers elsewhere and those who give them work use it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toPublicId } from '../../src/std/public-id.ts';
import { openTestApi, type TestApi } from '../support/api.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { waitFor } from '../support/wait-for.ts';
import { Api, viewer } from './api.ts';

let stack: TestStack;
let api: Api;
let server: TestApi;
let projectId: string;
let type = '';
let count = 0;

beforeAll(async () => {
  stack = await openTestStack();
  api = new Api(stack.orchestrator);
  server = await openTestApi(stack);
  projectId = toPublicId('project', (await stack.createProject()).id);
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await stack[Symbol.asyncDispose]();
});

const CLAIM = `mutation ($types: [String!]!, $wait: Float) {
  claimTask(input: { workerName: "w", types: $types, waitSeconds: $wait }) {
    ... on ClaimTaskPayload { claim { leaseToken task { id payload claimedBy attempt } } claims { leaseToken } }
    ... on UserError { code message } } }`;
const ENQUEUE = `mutation ($input: EnqueueTaskInput!) { enqueueTask(input: $input) {
  ... on EnqueueTaskPayload { deduplicated task { id status } }
  ... on IdempotencyConflictError { existingTask { id } }
  ... on InvalidInputError { issues { path message } }
  ... on UserError { code } } }`;

async function newType(): Promise<string> {
  count += 1;
  type = `type-${count}`;
  const set = `mutation { setTaskType(input: { projectId: "${projectId}", name: "${type}", schema: {} }) { __typename } }`;
  expect(await api.data(set)).toEqual({ setTaskType: { __typename: 'SetTaskTypePayload' } });
  return type;
}

const enqueue = async (rest: object = {}) =>
  (await api.data(ENQUEUE, { variables: { input: { projectId, type, payload: { n: 1 }, ...rest } } })).enqueueTask;
const claim = async () => (await api.data(CLAIM, { variables: { types: [type] } })).claimTask.claim;

/** One of the four words of a worker. */
const say = async (name: string, input: object) => {
  const inputType = `${name.charAt(0).toUpperCase()}${name.slice(1)}Input`;
  const source = `mutation ($input: ${inputType}!) { answer: ${name}(input: $input) {
    ... on ${inputType.replace('Input', 'Payload')} { task { id status result failure { reason } } }
    ... on LeaseLostError { code status } ... on UserError { code } } }`;
  return (await api.data(source, { variables: { input } })).answer;
};

describe('a task', () => {
  it('is enqueued, claimed, completed and read; a late word changes nothing', async () => {
    await newType();
    const labels = [{ key: 'team', value: 'web' }];
    const { task } = await enqueue({ labels, idempotencyKey: 'a', retry: { maxAttempts: 2 } });
    expect(await enqueue({ labels, idempotencyKey: 'a', retry: { maxAttempts: 2 } })).toMatchObject({
      deduplicated: true,
    });
    expect(await enqueue({ idempotencyKey: 'a' })).toMatchObject({
      code: 'IDEMPOTENCY_CONFLICT',
      existingTask: { id: task.id },
    });
    const claimed = await claim();
    expect(claimed.task).toMatchObject({ id: task.id, payload: { n: 1 }, claimedBy: 'test/w', attempt: 1 });
    const lease = { taskId: task.id, leaseToken: claimed.leaseToken };
    expect(await say('heartbeatTask', { ...lease, progress: { percent: 1 } })).toMatchObject({
      task: { status: 'RUNNING' },
    });
    const done = { ...lease, result: { ok: true } };
    expect(await say('completeTask', done)).toMatchObject({ task: { status: 'COMPLETED', result: { ok: true } } });
    expect(await say('completeTask', done)).toMatchObject({ task: { status: 'COMPLETED' } });
    expect(await say('failTask', { ...lease, reason: 'x' })).toEqual({ code: 'LEASE_LOST', status: 'COMPLETED' });
    const read = `{ tasks(filter: { projectId: "${projectId}", type: ["${type}"], label: [{ key: "team", value: "web" }] }) {
      nodes { id type status labels { key value } progress runsOn retry { maxAttempts } events { nodes { cursor type data } }
        project { id } build { id } callbacks { id } } } taskStats(type: "${type}") { waiting running dead } }`;
    expect(await api.data(read)).toMatchObject({
      tasks: {
        nodes: [
          {
            id: task.id,
            labels,
            retry: { maxAttempts: 2 },
            events: { nodes: [{ type: 'QUEUED' }, { type: 'CLAIMED' }, { type: 'PROGRESS' }, { type: 'FINISHED' }] },
            build: null,
            callbacks: [],
          },
        ],
      },
      taskStats: { waiting: 0, running: 0, dead: 0 },
    });
  });

  it('that has failed for good is requeued; one that is not wanted is cancelled', async () => {
    await newType();
    const { task } = await enqueue();
    const first = await claim();
    const end = { taskId: task.id, leaseToken: first.leaseToken, reason: 'bad', retryable: false };
    expect(await say('failTask', end)).toMatchObject({ task: { status: 'FAILED', failure: { reason: 'bad' } } });
    const requeue = `mutation { requeueTask(input: { id: "${task.id}" }) {
      ... on RequeueTaskPayload { task { status } } ... on UserError { code } } }`;
    expect(await api.data(requeue)).toEqual({ requeueTask: { task: { status: 'PENDING' } } });
    expect(await api.data(requeue)).toEqual({ requeueTask: { code: 'TASK_STATE' } });
    const second = await claim();
    const cancel = `mutation { cancelTask(input: { id: "${task.id}", reason: "no" }) {
      ... on CancelTaskPayload { task { status cancelReason } } } }`;
    expect(await api.data(cancel)).toEqual({ cancelTask: { task: { status: 'RUNNING', cancelReason: 'no' } } });
    const lease = { taskId: task.id, leaseToken: second.leaseToken };
    const beat = `mutation ($input: HeartbeatTaskInput!) { heartbeatTask(input: $input) {
      ... on HeartbeatTaskPayload { cancelRequested } } }`;
    expect(await api.data(beat, { variables: { input: lease } })).toEqual({ heartbeatTask: { cancelRequested: true } });
    expect(await say('releaseTask', lease)).toMatchObject({ task: { status: 'CANCELLED' } });
  });

  it('of type build is a build, for who may start and read builds', async () => {
    const payload = { prompt: 'x', provider: 'scripted' };
    const variables = { input: { projectId, type: 'build', payload } };
    const { task } = await enqueue({ type: 'build', payload });
    const both = viewer({ scopes: ['tasks:read', 'builds:read'] });
    const source = `{ task(id: "${task.id}") { type payload build { id } callbacks { id } events { nodes { type } } } }`;
    expect(await api.data(source, { viewer: both })).toMatchObject({
      task: { type: 'build', payload: { prompt: 'x' }, build: { id: task.id.replace('task', 'build') } },
    });
    expect(await api.data(source, { viewer: viewer({ scopes: ['tasks:write'] }) })).toEqual({ task: null });
    const refused = await api.run(ENQUEUE, { variables, viewer: viewer({ scopes: ['tasks:write'] }) });
    expect(refused.errors).toMatchObject([{ extensions: { code: 'FORBIDDEN', requiredScope: 'builds:write' } }]);
    expect(await enqueue({ type: 'build', payload: { prompt: 1 } })).toMatchObject({
      issues: [{ path: ['input', 'payload', 'prompt'] }],
    });
  });
});

describe('following', () => {
  it('gives the events of a task to its end, and says what there is to claim', async () => {
    await newType();
    const hints = await api.subscribe(`subscription { taskAvailable(types: ["${type}", "other"]) { types } }`);
    if (!(Symbol.asyncIterator in hints)) throw new Error(JSON.stringify(hints));
    expect((await hints.next()).value).toMatchObject({ data: { taskAvailable: { types: [] } } });
    const { task } = await enqueue();
    expect((await hints.next()).value).toMatchObject({ data: { taskAvailable: { types: [type] } } });
    await hints.return(undefined);
    const events = await api.subscribe(
      `subscription { taskProgress(taskId: "${task.id}", after: "1") { cursor type } }`,
    );
    if (!(Symbol.asyncIterator in events)) throw new Error(JSON.stringify(events));
    const { leaseToken } = await claim();
    await say('completeTask', { taskId: task.id, leaseToken });
    const seen: unknown[] = [];
    for await (const { data } of events) seen.push(data.taskProgress);
    expect(seen).toEqual([
      { cursor: '2', type: 'CLAIMED' },
      { cursor: '3', type: 'FINISHED' },
    ]);
  });
});

describe('a claim that waits', () => {
  const post = (signal?: AbortSignal, wait = 50) =>
    fetch(server.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${server.token}` },
      body: JSON.stringify({ query: CLAIM, variables: { types: [type], wait } }),
      ...(signal ? { signal } : {}),
    });
  const waiting = (n: number) => waitFor(() => stack.orchestrator.desk.waiting === n, { what: `${n} that wait` });

  it('is answered when there is a task, by its token and name', async () => {
    await newType();
    const asked = post();
    await waiting(1);
    const { task } = await enqueue();
    const { data } = (await (await asked).json()) as { data: { claimTask: { claim: { task: object } } } };
    expect(data.claimTask.claim.task).toMatchObject({ id: task.id, claimedBy: 'test/w' });
  });

  it('ends when its client goes away', async () => {
    await newType();
    const gone = new AbortController();
    const asked = post(gone.signal).catch(() => 'gone');
    await waiting(1);
    gone.abort();
    await waiting(0);
    expect(await asked).toBe('gone');
  });

  it('outlives the time of other operations, and ends when the server does', async () => {
    await newType();
    const all = Promise.all([post(), post(), post()]);
    await waiting(3);
    await server.restart();
    const answers = await Promise.all((await all).map((answer) => answer.json()));
    for (const answer of answers) expect(answer).toMatchObject({ data: { claimTask: { claim: null, claims: [] } } });
  });
});
