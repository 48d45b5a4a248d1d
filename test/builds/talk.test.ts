/** People and bots talk to a running build: messages, questions and permissions, over the scripted agent. */
import { once } from 'node:events';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { answerQuestion, decideQuestion } from '../../src/builds/answer-question.ts';
import { findBuild } from '../../src/builds/build.ts';
import { readMessages } from '../../src/builds/build-message.ts';
import { type BuildQuestion, readQuestions } from '../../src/builds/build-question.ts';
import type { BuildSpecInput } from '../../src/builds/build-spec.ts';
import { cancelBuild } from '../../src/builds/cancel-build.ts';
import { sendMessage } from '../../src/builds/send-message.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { BuildStateError } from '../../src/errors.ts';
import type { BuildEvent } from '../../src/events/event.ts';
import { readEvents } from '../../src/events/read-events.ts';
import type { MessageMode } from '../../src/events/vocabulary.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';
import { waitFor } from '../support/wait-for.ts';
import { startWorkerProcess } from '../support/worker-process.ts';

const ASKING = { questions: true, approvals: true };

let stack: TestStack;

beforeAll(async () => {
  stack = await openTestStack();
  await stack.openWorker(4);
});
afterAll(() => stack[Symbol.asyncDispose]());

async function start(spec: BuildSpecInput): Promise<string> {
  const project = await stack.createProject();
  const { build } = await startBuild(stack.orchestrator, { projectId: project.id, spec }, 'bot');
  return build.id;
}

async function events(buildId: string): Promise<readonly BuildEvent[]> {
  return readEvents(stack.orchestrator.db, { buildId, after: 0, limit: 500 });
}

function said(all: readonly BuildEvent[]): string[] {
  return all.flatMap((event) =>
    event.type === 'AGENT_ACTIVITY' && event.data.content.kind === 'message' ? [event.data.content.text] : [],
  );
}

async function untilSaid(buildId: string, text: string): Promise<void> {
  await waitFor(async () => said(await events(buildId)).includes(text), { what: `the agent to say "${text}"` });
}

async function openQuestion(buildId: string): Promise<BuildQuestion> {
  return waitFor(
    async () => (await readQuestions(stack.orchestrator.db, buildId)).find(({ state }) => state === 'OPEN'),
    { what: 'a question' },
  );
}

function tell(buildId: string, text: string, mode: MessageMode) {
  return sendMessage(stack.orchestrator, { buildId, text, mode }, 'a person');
}

/** The last run of its agent has. */
async function hasEnded(buildId: string): Promise<boolean> {
  const row = await stack.orchestrator.db
    .selectFrom('build_audit')
    .select(sql<unknown>`checkpoint -> 'agentOutcome'`.as('outcome'))
    .where('id', '=', buildId)
    .executeTakeFirstOrThrow();
  return row.outcome !== null;
}

const write = (path: string) => ({ write: { path, content: `${path}\n` } });

describe('messages', () => {
  test('QUEUE: the agent is given it after its turn, and both turns are one commit', async () => {
    const id = await start({ prompt: script({ print: 'first' }, write('one.txt'), { wait: 0.5 }) });
    await untilSaid(id, 'first');
    const { message } = await tell(id, script({ print: 'second' }, write('two.txt')), 'QUEUE');
    expect(message).toMatchObject({ state: 'PENDING', deliveredAs: null, sentBy: 'a person' });
    const build = await stack.finished(id);
    expect(build).toMatchObject({ status: 'COMPLETED', result: { output: 'second' } });
    expect(build.result?.filesChanged.map(({ path }) => path)).toEqual(['one.txt', 'two.txt']);
    const [delivered] = await readMessages(stack.orchestrator.db, id);
    expect(delivered).toMatchObject({ state: 'DELIVERED', deliveredAs: 'QUEUE' });
    const all = await events(id);
    const told = all.filter(({ type }) => type.startsWith('MESSAGE_'));
    expect(told.map(({ type, data }) => ({ type, data }))).toEqual([
      {
        type: 'MESSAGE_SENT',
        data: expect.objectContaining({ messageId: message.id, mode: 'QUEUE', sentBy: 'a person' }),
      },
      { type: 'MESSAGE_DELIVERED', data: { messageId: message.id, as: 'QUEUE' } },
    ]);
    expect(all.filter(({ type }) => type === 'GIT_COMMITTED')).toHaveLength(1);
    expect(all.filter(({ type }) => type === 'AGENT_STARTED')).toHaveLength(2);
  });

  test('STEER: the agent hears it within its turn', async () => {
    const id = await start({ prompt: script({ print: 'first' }, { run: 'until [ -e go ]; do sleep 0.02; done' }) });
    await untilSaid(id, 'first');
    await tell(id, 'Use tabs.', 'STEER');
    await untilSaid(id, 'I was told: Use tabs.');
    const [message] = await readMessages(stack.orchestrator.db, id);
    expect(message).toMatchObject({ state: 'DELIVERED', deliveredAs: 'STEER' });
    await cancelBuild(stack.orchestrator, { id }, 'test');
    await stack.finished(id);
    expect((await events(id)).filter(({ type }) => type === 'AGENT_STARTED')).toHaveLength(1);
  });

  test('INTERRUPT: what the agent does is broken off, its changes stay, and it does what it is told', async () => {
    const prompt = script(write('kept.txt'), { print: 'first' }, { wait: 600 }, write('never.txt'));
    const id = await start({ prompt });
    await untilSaid(id, 'first');
    await tell(id, script({ print: 'second' }, write('instead.txt')), 'INTERRUPT');
    const build = await stack.finished(id);
    expect(build.status).toBe('COMPLETED');
    expect(build.result?.filesChanged.map(({ path }) => path)).toEqual(['instead.txt', 'kept.txt']);
    const [message] = await readMessages(stack.orchestrator.db, id);
    expect(message).toMatchObject({ state: 'DELIVERED', deliveredAs: 'INTERRUPT' });
  });

  test('a message to a waiting build is heard when it runs', async () => {
    const later = new Date(Date.now() + 1_000);
    const id = await start({ prompt: script({ print: 'first' }, write('one.txt')), runAfter: later });
    await tell(id, script({ print: 'second' }), 'QUEUE');
    await stack.finished(id);
    expect(said(await events(id))).toEqual(['first', 'second']);
  });

  test('whatever is accepted is delivered: a build does not complete past a message', async () => {
    const ids = await Promise.all(
      Array.from({ length: 6 }, (_, index) =>
        start({ prompt: script({ wait: index * 0.05 }, write('one.txt'), { print: 'turn 1' }) }),
      ),
    );
    let accepted = 0;
    let refused = 0;
    await Promise.all(
      ids.map(async (id) => {
        // Each when the turn before has just ended: some of them meet the very end of the build.
        for (let n = 1; n <= 4; n += 1) {
          await untilSaid(id, `turn ${n}`);
          await waitFor(() => hasEnded(id), { what: 'the end of the turn', everyMs: 1 });
          try {
            await tell(id, script({ print: `turn ${n + 1}` }), n % 2 === 0 ? 'QUEUE' : 'INTERRUPT');
            accepted += 1;
          } catch (error) {
            expect(error).toBeInstanceOf(BuildStateError);
            refused += 1;
            return;
          }
        }
      }),
    );
    for (const id of ids) {
      expect((await stack.finished(id, 60_000)).status).toBe('COMPLETED');
      const messages = await readMessages(stack.orchestrator.db, id);
      expect(messages.filter(({ state }) => state !== 'DELIVERED')).toEqual([]);
    }
    process.stdout.write(`messages accepted ${accepted}, refused because the agent had finished ${refused}\n`);
  });

  test('the same key is one message', async () => {
    const id = await start({ prompt: script({ wait: 600 }) });
    const input = { buildId: id, text: 'Hello.', mode: 'QUEUE', idempotencyKey: 'k' } as const;
    const first = await sendMessage(stack.orchestrator, input, 'bot');
    expect(await sendMessage(stack.orchestrator, input, 'bot')).toMatchObject({
      message: { id: first.message.id },
      deduplicated: true,
    });
    await expect(sendMessage(stack.orchestrator, { ...input, text: 'Other.' }, 'bot')).rejects.toMatchObject({
      code: 'IDEMPOTENCY_CONFLICT',
    });
    await cancelBuild(stack.orchestrator, { id }, 'test');
    await stack.finished(id);
    expect(await readMessages(stack.orchestrator.db, id)).toMatchObject([{ state: 'UNDELIVERED' }]);
    await expect(tell(id, 'Too late.', 'QUEUE')).rejects.toMatchObject({ code: 'BUILD_STATE' });
  });
});

test('a build whose commit is on its way takes no message, also when it waits for another worker', async () => {
  const id = await start({ prompt: script({ wait: 600 }), runAfter: new Date(Date.now() + 600_000) });
  const { db } = stack.orchestrator;
  await db
    .updateTable('build_audit')
    .set({ push_intent_sha: '0'.repeat(40) })
    .where('id', '=', id)
    .execute();
  await expect(tell(id, 'Too late.', 'QUEUE')).rejects.toMatchObject({ code: 'BUILD_STATE' });
  expect(await readMessages(db, id)).toEqual([]);
});

describe('questions', () => {
  const question = { ask: { question: 'Which one?', options: ['red', 'blue'] } };

  test('an answer reaches the agent; meanwhile the build waits for people, and its clocks stand still', async () => {
    const limits = { silenceSeconds: 1, wallSeconds: 2 };
    const id = await start({ prompt: script(question, write('one.txt')), interaction: ASKING, limits });
    const asked = await openQuestion(id);
    expect(await findBuild(stack.orchestrator.db, id)).toMatchObject({ status: 'RUNNING', waitingFor: 'INPUT' });
    // Longer than both clocks would have let it live.
    const late = Date.now() + 3_000;
    await waitFor(async () => Date.now() > late, { what: 'the clocks to be over' });
    await answerQuestion(stack.orchestrator, { questionId: asked.id, answers: [['blue']] }, 'a person');
    expect(await findBuild(stack.orchestrator.db, id)).toMatchObject({ waitingFor: null });
    await untilSaid(id, 'The answer is: blue');
    expect((await stack.finished(id)).status).toBe('COMPLETED');
    const [closed] = await readQuestions(stack.orchestrator.db, id);
    expect(closed).toMatchObject({ state: 'ANSWERED', closedBy: 'a person' });
    await expect(
      answerQuestion(stack.orchestrator, { questionId: asked.id, answers: [['red']] }, 'another'),
    ).rejects.toThrow('The question is already ANSWERED by a person.');
  });

  test('nobody answers: the default is given', async () => {
    const interaction = { ...ASKING, waitSeconds: 1 };
    const [plain, preset] = await Promise.all([
      start({ prompt: script(question, write('one.txt')), interaction }),
      start({ prompt: script(question, write('one.txt')), interaction: { ...interaction, defaultAnswer: 'green' } }),
    ]);
    await untilSaid(plain, 'Nobody answered.');
    await untilSaid(preset, 'The answer is: green');
    expect(await readQuestions(stack.orchestrator.db, preset)).toMatchObject([{ state: 'EXPIRED', closedBy: null }]);
    await Promise.all([stack.finished(plain), stack.finished(preset)]);
  });

  test('a build that may not ask settles it by itself', async () => {
    const request = { kind: 'PERMISSION', tool: 'Bash', input: 'ls', description: null };
    const forged = JSON.stringify({ type: 'asked', requestId: 'forged', request });
    const id = await start({ prompt: script({ run: `echo '${forged}'` }, question, write('one.txt')) });
    expect((await stack.finished(id)).status).toBe('COMPLETED');
    expect(said(await events(id))).toEqual(['Nobody answered.']);
    expect(await readQuestions(stack.orchestrator.db, id)).toEqual([]);
  });

  test('an answer must fit what was asked', async () => {
    const id = await start({
      prompt: script(question, { approve: { tool: 'Bash', input: 'ls' } }),
      interaction: ASKING,
    });
    const asked = await openQuestion(id);
    const answer = (answers: string[][]) =>
      answerQuestion(stack.orchestrator, { questionId: asked.id, answers }, 'a person');
    await expect(answer([])).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    await expect(answer([[]])).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    await expect(answer([['red', 'blue']])).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    await expect(answer([Array.from({ length: 5 }, () => 'x'.repeat(16 * 1024))])).rejects.toThrow('64 KiB in all');
    const decision = { questionId: asked.id, allow: true };
    await expect(decideQuestion(stack.orchestrator, decision, 'a person')).rejects.toMatchObject({
      code: 'INVALID_INPUT',
    });
    await cancelBuild(stack.orchestrator, { id }, 'test');
    expect((await stack.finished(id)).status).toBe('CANCELLED');
    expect(await readQuestions(stack.orchestrator.db, id)).toMatchObject([{ state: 'WITHDRAWN' }]);
    await expect(answer([['red']])).rejects.toMatchObject({ code: 'BUILD_STATE' });
    expect((await events(id)).at(-1)?.type).toBe('FINISHED');
  });

  test('permission is given, or not, with a word to the agent', async () => {
    const prompt = script({ approve: { tool: 'Bash', input: { command: 'rm -r x' } } }, { print: 'went on' });
    const id = await start({ prompt, interaction: ASKING });
    const asked = await openQuestion(id);
    expect(asked.request).toEqual({
      kind: 'PERMISSION',
      tool: 'Bash',
      input: { command: 'rm -r x' },
      description: null,
    });
    expect(await findBuild(stack.orchestrator.db, id)).toMatchObject({ waitingFor: 'APPROVAL' });
    await decideQuestion(stack.orchestrator, { questionId: asked.id, allow: false, note: 'Too much.' }, 'a person');
    await stack.finished(id);
    const outputs = (await events(id)).flatMap((event) =>
      event.type === 'AGENT_ACTIVITY' && event.data.content.kind === 'tool_result' ? [event.data.content] : [],
    );
    expect(outputs).toMatchObject([{ status: 'denied', output: 'It was denied: Too much.' }]);
  });

  test('an agent that asks without end is given defaults after a hundred', async () => {
    const many = Array.from({ length: 103 }, () => ({ approve: { tool: 'Bash', input: 'ls' } }));
    const interaction = { ...ASKING, waitSeconds: 600, defaultDecision: 'APPROVE' } as const;
    const id = await start({ prompt: script(...many, write('one.txt')), interaction });
    for (let n = 1; n <= 100; n += 1) {
      const { id: questionId } = await openQuestion(id);
      await decideQuestion(stack.orchestrator, { questionId, allow: true }, 'a person');
    }
    expect((await stack.finished(id, 60_000)).status).toBe('COMPLETED');
    expect(await readQuestions(stack.orchestrator.db, id)).toHaveLength(100);
    const page = { buildId: id, after: 0, limit: 10, types: ['WARNING'] } as const;
    expect(await readEvents(stack.orchestrator.db, page)).toHaveLength(1);
  }, 120_000);
});

test('nobody can answer an agent that has ended', async () => {
  const request = { kind: 'PERMISSION', tool: 'Bash', input: 'ls', description: null };
  const asked = JSON.stringify({ type: 'asked', requestId: 'forgotten', request });
  const refused = { fail: 'Slow down.', reason: 'rate_limit' } as const;
  const id = await start({ prompt: script({ run: `echo '${asked}'` }, refused), interaction: ASKING });
  const { db } = stack.orchestrator;
  await waitFor(async () => (await findBuild(db, id))?.waitingFor === 'QUOTA', { what: 'the build to wait' });
  expect(await readQuestions(db, id)).toMatchObject([{ state: 'WITHDRAWN' }]);
  await cancelBuild(stack.orchestrator, { id }, 'test');
  await sql`delete from quota_pauses`.execute(db);
});

test('a worker that puts its build back withdraws what was asked', async () => {
  await using own = await openTestStack();
  const { db } = own.orchestrator;
  const worker = await own.openWorker(1);
  const project = await own.createProject();
  const spec = { prompt: script({ ask: { question: 'Go on?' } }), interaction: ASKING };
  const { build } = await startBuild(own.orchestrator, { projectId: project.id, spec }, 'bot');
  await waitFor(async () => (await readQuestions(db, build.id)).length > 0, { what: 'a question' });
  await worker.drain(0);
  expect(await findBuild(db, build.id)).toMatchObject({ status: 'PENDING', waitingFor: null });
  expect(await readQuestions(db, build.id)).toMatchObject([{ state: 'WITHDRAWN' }]);
  const closed = await readEvents(db, { buildId: build.id, after: 0, limit: 10, types: ['QUESTION_CLOSED'] });
  expect(closed).toHaveLength(1);
});

test('a worker that is killed while people are asked: the build says again that it waits for them', async () => {
  await using own = await openTestStack();
  const { db } = own.orchestrator;
  const doomed = await startWorkerProcess(own);
  const project = await own.createProject();
  const spec = { prompt: script({ ask: { question: 'Go on?' } }), interaction: ASKING };
  const { build } = await startBuild(own.orchestrator, { projectId: project.id, spec }, 'bot');
  await waitFor(async () => (await readQuestions(db, build.id)).length > 0, { what: 'a question' });
  doomed.kill('SIGKILL');
  await once(doomed, 'exit');
  await own.openWorker(1);
  await waitFor(
    async () => {
      const now = await findBuild(db, build.id);
      return now?.attemptNo === 2 && now.waitingFor === 'INPUT';
    },
    { deadlineMs: 60_000, what: 'the build to wait for people' },
  );
  await cancelBuild(own.orchestrator, { id: build.id }, 'test');
  await own.finished(build.id);
}, 90_000);

test('a worker that is killed leaves the question open, and the next one brings the answer', async () => {
  await using own = await openTestStack();
  const doomed = await startWorkerProcess(own);
  const project = await own.createProject();
  const prompt = script({ ask: { question: 'Go on?' } }, write('one.txt'), { print: 'went on' });
  const spec = { prompt, interaction: ASKING };
  const { build } = await startBuild(own.orchestrator, { projectId: project.id, spec }, 'bot');
  const { db } = own.orchestrator;
  const asked = await waitFor(async () => (await readQuestions(db, build.id))[0], { what: 'a question' });
  doomed.kill('SIGKILL');
  await once(doomed, 'exit');
  await answerQuestion(own.orchestrator, { questionId: asked.id, answers: [['yes']] }, 'a person');
  await own.openWorker(1);
  const ended = await own.finished(build.id, 60_000);
  expect(ended).toMatchObject({ status: 'COMPLETED', result: { output: 'went on' } });
  const all = await readEvents(db, { buildId: build.id, after: 0, limit: 500 });
  expect(said(all)).toEqual(['The answer is: yes', 'went on']);
  expect(all.filter(({ type }) => type === 'AGENT_STARTED')).toHaveLength(1);
  expect(all.filter(({ type }) => type === 'QUESTION_ASKED')).toHaveLength(1);
}, 90_000);
