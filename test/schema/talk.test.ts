/** Talking to a build over the API: messages to its agent, and answers to what it asks. */
import { Kysely, PostgresDialect, sql } from 'kysely';
import pg from 'pg';
import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Agent } from '../../src/agents/agent.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { connectionSettings } from '../../src/database/database.ts';
import type { Tables } from '../../src/database/tables.ts';
import type { AgentRequest } from '../../src/events/event.ts';
import { fromPublicId, toPublicId } from '../../src/std/public-id.ts';
import { askByHand, question } from '../support/ask.ts';
import { claimByHand, registerByHand } from '../support/claim.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { type Answer, Api, viewer } from './api.ts';
import { finish } from './finish.ts';

let stack: TestStack;
let api: Api;
let workerId: string;
let projectId: string;
const me = viewer();

beforeAll(async () => {
  stack = await openTestStack();
  api = new Api(stack.orchestrator);
  workerId = await registerByHand(stack);
  projectId = (await stack.createProject()).id;
});
afterAll(() => stack[Symbol.asyncDispose]());

/** UUID. */
async function running(): Promise<string> {
  const input = { projectId, spec: { prompt: 'work', priority: 9 } };
  const { build } = await startBuild(stack.orchestrator, input, 'test');
  await claimByHand(stack, workerId);
  return build.id;
}

const buildOf = (uuid: string) => toPublicId('build', uuid);

type Input = Readonly<Record<string, unknown>>;

async function send(mutation: string, fields: string, input: Input, more = ''): Promise<Answer['data']> {
  const name = `${mutation.charAt(0).toUpperCase()}${mutation.slice(1)}`;
  const source = `mutation ($input: ${name}Input!) { ${mutation}(input: $input) {
    ... on ${name}Payload { ${fields} }
    ... on UserError { code message }
    ... on InvalidInputError { issues { path message } }
    ... on BuildStateError { status } ${more} } }`;
  return (await api.data(source, { variables: { input }, viewer: me }))[mutation];
}

const MESSAGE = 'deduplicated buildMessage { id mode text state deliveredAs sentBy deliveredAt build { id } }';
const tell = (input: Input) =>
  send('sendBuildMessage', MESSAGE, input, '... on IdempotencyConflictError { existing { id } }');

const QUESTION =
  'question { id kind state answers allowed note closedBy closedAt build { id waitingFor } questions { question } }';
const answer = (input: Input) => send('answerBuildQuestion', QUESTION, input);
const approve = (input: Input) => send('approveBuild', QUESTION, input);
const reject = (input: Input) => send('rejectBuild', QUESTION, input);

const refusedAt = (field: string, message: string) => ({
  code: 'INVALID_INPUT',
  issues: [{ path: ['input', field], message: expect.stringContaining(message) }],
});

describe('sendBuildMessage', () => {
  it('keeps the message for the agent, and says so in an event', async () => {
    const uuid = await running();
    const sent = await tell({ buildId: buildOf(uuid), text: 'Use blue.' });
    expect(sent).toEqual({
      deduplicated: false,
      buildMessage: {
        id: expect.stringMatching(/^message_[0-9a-f]{32}$/),
        ...{ mode: 'QUEUE', text: 'Use blue.', state: 'PENDING', deliveredAs: null, deliveredAt: null },
        sentBy: me.actor,
        build: { id: buildOf(uuid) },
      },
    });
    await tell({ buildId: buildOf(uuid), text: 'And red.', mode: 'STEER' });
    const { build } = await api.data(
      `query ($id: ID!) { build(id: $id) { messages { text mode }
        events(types: [MESSAGE_SENT]) { nodes { __typename ... on BuildMessageSent { messageId mode text sentBy } } } } }`,
      { variables: { id: buildOf(uuid) } },
    );
    expect(build.messages).toEqual([
      { text: 'Use blue.', mode: 'QUEUE' },
      { text: 'And red.', mode: 'STEER' },
    ]);
    const { id: messageId } = sent.buildMessage;
    const event = { messageId, mode: 'QUEUE', text: 'Use blue.', sentBy: me.actor };
    expect(build.events.nodes[0]).toEqual({ __typename: 'BuildMessageSent', ...event });
  });

  it('is safe to repeat with a key, and refuses the key for another message', async () => {
    const uuid = await running();
    const input = { buildId: buildOf(uuid), text: 'Once.', mode: 'INTERRUPT', idempotencyKey: 'k' };
    const first = await tell(input);
    expect(await tell(input)).toEqual({ ...first, deduplicated: true });
    const conflict = { code: 'IDEMPOTENCY_CONFLICT', existing: { id: buildOf(uuid) } };
    expect(await tell({ ...input, text: 'Twice.' })).toMatchObject(conflict);
    expect(await tell({ ...input, mode: 'QUEUE' })).toMatchObject(conflict);
    // The key belongs to the build.
    expect(await tell({ ...input, buildId: buildOf(await running()) })).toMatchObject({ deduplicated: false });
    await finish(stack.orchestrator, uuid);
    expect(await tell(input)).toMatchObject({ deduplicated: true, buildMessage: { state: 'UNDELIVERED' } });
  });

  it('refuses what is no message', async () => {
    const buildId = buildOf(await running());
    expect(await tell({ buildId, text: ' \n' })).toMatchObject(refusedAt('text', 'must not be empty'));
    expect(await tell({ buildId, text: 'ä'.repeat(32 * 1024 + 1) })).toMatchObject(refusedAt('text', '65536 bytes'));
    expect(await tell({ buildId, text: 'x', idempotencyKey: ' ' })).toMatchObject(refusedAt('idempotencyKey', 'ASCII'));
    expect(await tell({ buildId: buildOf(v7()), text: 'x' })).toMatchObject({ code: 'NOT_FOUND' });
    expect(await tell({ buildId: 'nonsense', text: 'x' })).toMatchObject({ code: 'NOT_FOUND' });
  });

  it('refuses a build whose agent hears nothing any more, and says what to do', async () => {
    const uuid = await running();
    const { db } = stack.orchestrator;
    await db.updateTable('build_audit').set({ phase: 'VERIFYING' }).where('id', '=', uuid).execute();
    const state = { code: 'BUILD_STATE', status: 'RUNNING' };
    const late = await tell({ buildId: buildOf(uuid), text: 'x' });
    expect(late).toMatchObject({ ...state, message: expect.stringContaining('The agent has finished') });
    await finish(stack.orchestrator, uuid);
    const over = await tell({ buildId: buildOf(uuid), text: 'x' });
    expect(over).toMatchObject({ code: 'BUILD_STATE', status: 'COMPLETED' });
    expect(over.message).toContain('resumeFrom');
    const cancelled = await running();
    await api.data(`mutation { cancelBuild(input: { id: "${buildOf(cancelled)}" }) { __typename } }`);
    const ending = await tell({ buildId: buildOf(cancelled), text: 'x' });
    expect(ending).toMatchObject({ ...state, message: 'The build is being cancelled.' });
  });

  it('takes a hundred messages of one build, and no more', async () => {
    const uuid = await running();
    const { db } = stack.orchestrator;
    const row = { build_id: uuid, mode: 'QUEUE', text: 'x', sent_by: 'test' } as const;
    const rows = Array.from({ length: 99 }, () => ({ ...row, id: v7() }));
    await db.insertInto('build_messages').values(rows).execute();
    expect(await tell({ buildId: buildOf(uuid), text: 'last' })).toMatchObject({ deduplicated: false });
    expect(await tell({ buildId: buildOf(uuid), text: 'more' })).toMatchObject({
      code: 'BUILD_STATE',
      message: expect.stringContaining('100 messages'),
    });
  });
});

const COLOURS: AgentRequest = {
  kind: 'QUESTION',
  questions: [question('Which colours?', ['Blue', 'Red', 'Green'], true), question('What name?')],
};
const COMMAND: AgentRequest = {
  kind: 'PERMISSION',
  tool: 'Bash',
  input: { command: 'npm test' },
  description: 'Run the tests',
};

async function ask(request: AgentRequest): Promise<{ uuid: string; questionId: string }> {
  const uuid = await running();
  return { uuid, questionId: toPublicId('question', await askByHand(stack, uuid, request)) };
}

describe('answerBuildQuestion', () => {
  it('answers each thing that is asked, once, and the build waits no more', async () => {
    const { uuid, questionId } = await ask(COLOURS);
    const answers = [['Blue', 'Green'], ['The Sea']];
    expect(await answer({ questionId, answers })).toEqual({
      question: {
        ...{ id: questionId, kind: 'QUESTION', state: 'ANSWERED', answers, allowed: null, note: null },
        ...{ closedBy: me.actor, closedAt: expect.any(String), build: { id: buildOf(uuid), waitingFor: null } },
        questions: [{ question: 'Which colours?' }, { question: 'What name?' }],
      },
    });
    expect(await answer({ questionId, answers })).toEqual({
      ...{ code: 'BUILD_STATE', status: 'RUNNING' },
      message: `The question is already ANSWERED by ${me.actor}.`,
    });
  });

  it('refuses what is no answer to it, and leaves it open', async () => {
    const { uuid, questionId } = await ask(COLOURS);
    const refusals: [string[][], string][] = [
      [[['Blue']], 'one list for each of the 2 questions'],
      [[['Blue'], ['a', 'b']], 'must be one for question 2'],
      [[[], ['a']], 'must not be empty for question 1'],
    ];
    for (const [answers, message] of refusals) {
      expect(await answer({ questionId, answers })).toMatchObject(refusedAt('answers', message));
    }
    const blank = await answer({ questionId, answers: [['Blue'], [' ']] });
    expect(blank).toMatchObject({ issues: [{ path: ['input', 'answers', '1', '0'], message: 'must not be empty' }] });
    expect(await approve({ questionId })).toMatchObject(refusedAt('questionId', 'use answerBuildQuestion'));
    expect(await reject({ questionId })).toMatchObject(refusedAt('questionId', 'use answerBuildQuestion'));
    const { build } = await api.data('query ($id: ID!) { build(id: $id) { waitingFor questions { state } } }', {
      variables: { id: buildOf(uuid) },
    });
    expect(build).toEqual({ waitingFor: 'INPUT', questions: [{ state: 'OPEN' }] });
  });

  it('knows no question that is not there, or is of another project', async () => {
    const { questionId } = await ask(COLOURS);
    for (const id of [toPublicId('question', v7()), 'nonsense', toPublicId('build', v7())]) {
      expect(await answer({ questionId: id, answers: [['x']] })).toMatchObject({ code: 'NOT_FOUND' });
      expect(await approve({ questionId: id })).toMatchObject({ code: 'NOT_FOUND' });
    }
    const source = `mutation { rejectBuild(input: { questionId: "${questionId}" }) { ... on UserError { code } } }`;
    const foreign = await api.data(source, { viewer: viewer({ projectIds: [v7()] }) });
    expect(foreign).toEqual({ rejectBuild: { code: 'NOT_FOUND' } });
  });
});

describe('approveBuild and rejectBuild', () => {
  it('tell the agent whether it may use the tool, and why', async () => {
    const allowed = await ask(COMMAND);
    expect(await approve({ questionId: allowed.questionId, always: true, note: 'Fine.' })).toMatchObject({
      question: { state: 'APPROVED', allowed: true, note: 'Fine.', answers: null, build: { waitingFor: null } },
    });
    const row = await stack.orchestrator.db
      .selectFrom('build_questions')
      .select('word')
      .where('id', '=', fromPublicId('question', allowed.questionId))
      .executeTakeFirstOrThrow();
    expect(row.word).toMatchObject({ type: 'decision', allow: true, always: true, message: 'Fine.' });
    const refused = await ask(COMMAND);
    expect(await reject({ questionId: refused.questionId, note: 'Not now.' })).toMatchObject({
      question: { state: 'REJECTED', allowed: false, note: 'Not now.', closedBy: me.actor },
    });
    expect(await approve({ questionId: refused.questionId })).toMatchObject({ code: 'BUILD_STATE' });
  });

  it('refuse a note that is too long, and are not answers', async () => {
    const { questionId } = await ask(COMMAND);
    const tooLong = refusedAt('note', 'at most 16384 bytes');
    expect(await approve({ questionId, note: 'x'.repeat(16_385) })).toMatchObject({ code: 'INVALID_INPUT' });
    expect((await reject({ questionId, note: 'x'.repeat(16_385) })).issues).toEqual([
      { path: ['input', 'note'], message: tooLong.issues[0]?.message },
    ]);
    expect(await answer({ questionId, answers: [['yes']] })).toMatchObject(
      refusedAt('questionId', 'use approveBuild or rejectBuild'),
    );
  });
});

const FIELDS = `id kind questions { question header options { label description } multiple } tool input description
  state answers note expiresAt`;

describe('what is asked', () => {
  it('is with the build, by state and in order, and behind its id', async () => {
    const { uuid, questionId } = await ask(COMMAND);
    const second = toPublicId('question', await askByHand(stack, uuid, COLOURS));
    await approve({ questionId });
    const { build, node } = await api.data(
      `query ($id: ID!, $question: ID!) { build(id: $id) { waitingFor questions { id }
         open: questions(state: OPEN) { ${FIELDS} } approved: questions(state: APPROVED) { tool input description } }
       node(id: $question) { id ... on BuildQuestion { state build { id } } } }`,
      { variables: { id: buildOf(uuid), question: second } },
    );
    expect(build.waitingFor).toBe('INPUT');
    expect(build.questions).toEqual([{ id: questionId }, { id: second }]);
    expect(build.approved).toEqual([{ tool: 'Bash', input: { command: 'npm test' }, description: 'Run the tests' }]);
    const label = (text: string) => ({ label: text, description: null });
    expect(build.open).toEqual([
      {
        ...{ id: second, kind: 'QUESTION', tool: null, input: null, description: null, state: 'OPEN' },
        questions: [
          {
            ...{ question: 'Which colours?', header: null, multiple: true },
            options: [label('Blue'), label('Red'), label('Green')],
          },
          { question: 'What name?', header: null, options: [], multiple: false },
        ],
        ...{ answers: null, note: null, expiresAt: expect.any(String) },
      },
    ]);
    expect(node).toEqual({ id: second, state: 'OPEN', build: { id: buildOf(uuid) } });
  });

  it('is with its own build in a list of them', async () => {
    const asking = [await ask(COMMAND), await ask(COLOURS)];
    await tell({ buildId: buildOf(asking[0]?.uuid ?? ''), text: 'Hello.' });
    const { builds } = await api.data(
      'query ($filter: BuildFilter) { builds(filter: $filter) { nodes { id questions { id } messages { text } } } }',
      { variables: { filter: { projectId: toPublicId('project', projectId) } } },
    );
    const shown = (uuid: string) => builds.nodes.find(({ id }: { id: string }) => id === buildOf(uuid));
    for (const [index, { uuid, questionId }] of asking.entries()) {
      const messages = index === 0 ? [{ text: 'Hello.' }] : [];
      expect(shown(uuid)).toEqual({ id: buildOf(uuid), questions: [{ id: questionId }], messages });
    }
  });

  it('is an event for those who follow, with the question as it is by then', async () => {
    const uuid = await running();
    const { build } = await api.data('query ($id: ID!) { build(id: $id) { lastEventCursor } }', {
      variables: { id: buildOf(uuid) },
    });
    const events = await api.subscribe(
      `subscription ($id: ID!, $after: String) { buildProgress(buildId: $id, after: $after) { __typename
        ... on BuildQuestionAsked { questionId question { state tool } }
        ... on BuildQuestionClosed { questionId state closedBy question { note } } } }`,
      { variables: { id: buildOf(uuid), after: build.lastEventCursor } },
    );
    if ('errors' in events) throw new Error(JSON.stringify(events.errors));
    const next = async () => (await events.next()).value?.data.buildProgress;
    const asked = next();
    const questionId = toPublicId('question', await askByHand(stack, uuid, COMMAND));
    const question = { state: 'OPEN', tool: 'Bash' };
    expect(await asked).toEqual({ __typename: 'BuildQuestionAsked', questionId, question });
    const closed = next();
    await reject({ questionId, note: 'No.' });
    const end = { questionId, state: 'REJECTED', closedBy: me.actor, question: { note: 'No.' } };
    expect(await closed).toEqual({ __typename: 'BuildQuestionClosed', ...end });
    await events.return(undefined);
  });
});

it('more text than an answer may hold is refused, and none of it is read', async () => {
  const uuid = await running();
  const text = sql<string>`repeat('x', 65536)`;
  const message = { build_id: uuid, mode: 'QUEUE', text, sent_by: 'test' } as const;
  const rows = Array.from({ length: 400 }, () => ({ ...message, id: v7() }));
  await stack.orchestrator.db.insertInto('build_messages').values(rows).execute();
  let bytes = 0;
  const pool = new pg.Pool({ ...connectionSettings(stack.databaseUrl, 'talk'), max: 1 });
  pool.on('connect', ({ connection }) => {
    connection.stream.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
  });
  await using db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
  const small = new Api({ ...stack.orchestrator, db });
  const { errors } = await small.run(`{ build(id: "${buildOf(uuid)}") { messages { text } } }`);
  expect(errors[0]?.extensions).toMatchObject({ code: 'RESPONSE_TOO_LARGE' });
  expect(bytes).toBeLessThan(200_000);
});

describe('spec.interaction', () => {
  const start = async (spec: Input) => {
    const source = `mutation ($input: StartBuildInput!) { startBuild(input: $input) {
      ... on StartBuildPayload { build { spec { interaction {
        questions approvals waitSeconds defaultAnswer defaultDecision } } } }
      ... on InvalidInputError { code issues { path message } } } }`;
    const input = { projectId: toPublicId('project', projectId), spec: { prompt: 'x', ...spec } };
    return (await api.data(source, { variables: { input } })).startBuild;
  };

  it('is nothing where nothing is said, and what is said else', async () => {
    const none = { questions: false, approvals: false, waitSeconds: 1800, defaultAnswer: null };
    expect((await start({})).build.spec.interaction).toEqual({ ...none, defaultDecision: 'REJECT' });
    const interaction = {
      ...{ questions: true, approvals: true, waitSeconds: 60 },
      ...{ defaultAnswer: 'Choose.', defaultDecision: 'APPROVE' },
    };
    expect((await start({ interaction })).build.spec.interaction).toEqual(interaction);
  });

  it('is refused where it is not valid, and for an agent that cannot ask', async () => {
    const mute = { name: 'mute', capabilities: { questions: false, permissions: false }, modelKey: null };
    (stack.orchestrator.agents as Map<string, unknown>).set('mute', mute as unknown as Agent);
    (stack.orchestrator.providers as string[]).push('mute');
    const asked = { questions: true, approvals: true };
    const { code, issues } = await start({ provider: 'mute', interaction: asked });
    expect(code).toBe('CANNOT_ASK');
    expect(issues).toEqual([
      {
        path: ['input', 'spec', 'interaction', 'questions'],
        message: expect.stringMatching(/^mute cannot ask questions while it runs\. Agents that can: .*scripted/),
      },
      {
        path: ['input', 'spec', 'interaction', 'approvals'],
        message: expect.stringMatching(/^mute cannot ask before it uses a tool\. Agents that can: .*scripted/),
      },
    ]);
    expect(await start({ provider: 'mute', interaction: { questions: false } })).toHaveProperty('build');
    const late = await start({ interaction: { waitSeconds: 86_401, defaultAnswer: ' ' } });
    expect(late.issues.map(({ path }: { path: string[] }) => path.at(-1))).toEqual(['waitSeconds', 'defaultAnswer']);
  });
});
