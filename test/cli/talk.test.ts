/** Talking to a running build on the command line. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fromPublicId } from '../../src/std/public-id.ts';
import { openTestApi, type TestApi } from '../support/api.ts';
import { askByHand, question } from '../support/ask.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';
import { waitFor } from '../support/wait-for.ts';
import { runCommand, startCommand } from './run-command.ts';

let stack: TestStack;
let api: TestApi;
let environment: Record<string, string>;

beforeAll(async () => {
  stack = await openTestStack();
  api = await openTestApi(stack);
  await stack.openWorker();
  environment = { SLIPWAY_URL: api.url, SLIPWAY_TOKEN: api.token, SLIPWAY_DATA: stack.dataFolder };
  await stack.createProject({ name: 'Boats' });
});

afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await stack[Symbol.asyncDispose]();
});

const slipway = (...args: readonly string[]) => runCommand(args, { environment });

async function json<T = unknown>(...args: readonly string[]): Promise<T> {
  const { exitCode, stdout, stderr } = await slipway(...args, '--json');
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  return JSON.parse(stdout) as T;
}

const ASKING = ['build', 'start', '-p', 'boats', '--no-commit', '--ask-questions', '--ask-approval'];

/** Its id, once the agent waits. */
async function startAsking(...steps: readonly object[]): Promise<string> {
  const { stdout } = await slipway(...ASKING, script(...steps));
  const id = stdout.trim();
  await waitFor(async () => (await shown(id)).questions.length > 0, { what: 'the question' });
  return id;
}

interface Shown {
  readonly status: string;
  readonly waitingFor: string | null;
  readonly questions: readonly { readonly id: string; readonly state: string }[];
  readonly messages: readonly { readonly text: string; readonly state: string; readonly deliveredAs: string | null }[];
}

const shown = (id: string) => json<Shown>('build', 'show', id);
const TIME = '\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d';
const COLOUR = { ask: { question: 'Which colour?', options: ['Blue', 'Red'] } };
const COMMAND = { approve: { tool: 'Bash', input: { command: 'npm test' } } };

test('a watched build shows what its agent asks with the commands that answer it, and goes on with the answer', async () => {
  const watching = startCommand([...ASKING, '--watch', script(COLOUR, COMMAND)], { environment });
  const [, answer = ''] = await waitFor(() => /\n +slipway (build answer \S+) ANSWER\n/.exec(watching.stdout), {
    what: 'the question',
  });
  expect(watching.stdout).toMatch(
    new RegExp(
      `the agent asks: Which colour\\?\n +Which colour\\?\n +1\\. Blue\n +2\\. Red\n +The build waits for people until ${TIME}\\. To`,
    ),
  );
  const answered = await slipway(...answer.split(' '), '2');
  expect(answered).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^question_\w+ is answered: Red\n$/) });
  const [, approve = ''] = await waitFor(() => /\n +slipway (build approve \S+)\n/.exec(watching.stdout), {
    what: 'the request',
  });
  expect(watching.stdout).toContain('the agent wants to use Bash {"command":"npm test"}');
  expect(watching.stdout).toMatch(/\n +slipway build reject question_\w+\n/);
  const approved = await slipway(...approve.split(' '), '--note', 'Fine.');
  expect(approved).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^question_\w+ is approved\.\n$/) });
  const { exitCode, stdout } = await watching.ended;
  expect(exitCode, stdout).toBe(0);
  expect(stdout).toContain('says: The answer is: Red');
  expect(stdout).toMatch(/question_\w+ answered by token_\w+\n/);
  expect(stdout).toContain('tool ok: It was allowed.');
});

test('what was answered before is not asked again by who watches later', async () => {
  const id = await startAsking(COLOUR);
  const [asked] = (await shown(id)).questions;
  expect(await json('build', 'answer', asked?.id ?? '', 'mauve')).toMatchObject({
    id: asked?.id,
    state: 'ANSWERED',
    answers: [['mauve']],
  });
  const { exitCode, stdout } = await slipway('build', 'watch', id);
  expect(exitCode).toBe(0);
  expect(stdout).toContain('the agent asks: Which colour?');
  expect(stdout).not.toContain('build answer');
});

test('a build that waits for people is shown with its questions and its messages', async () => {
  const id = await startAsking(COMMAND, { wait: 0.2 });
  const told = await slipway('build', 'tell', id, 'Use less paint.', '--steer');
  expect(told).toMatchObject({ exitCode: 0, stderr: '' });
  expect(told.stdout).toMatch(/^message_[0-9a-f]{32} is accepted\. The agent is given it between two steps/);
  await waitFor(async () => (await shown(id)).messages[0]?.state === 'DELIVERED', { what: 'the delivery' });
  const { stdout } = await slipway('build', 'show', id);
  expect(stdout).toMatch(new RegExp(`\n {2}Waits for +APPROVAL until ${TIME}\n`));
  expect(stdout).toMatch(/\n {2}Question +question_\w+\n {4}The agent wants to use Bash \{"command":"npm test"\}\n/);
  expect(stdout).toMatch(/\n {2}Messages +1\n {4}STEER +DELIVERED +Use less paint\.\n/);
  const [asked] = (await shown(id)).questions;
  const rejected = await slipway('build', 'reject', asked?.id ?? '', '--note', 'Too slow.');
  expect(rejected).toMatchObject({ exitCode: 0, stdout: `${asked?.id} is rejected.\n` });
  const watched = await slipway('build', 'watch', id);
  expect(watched.stdout).toContain('tool denied: It was denied: Too slow.');
  expect(watched.stdout).toContain('says: I was told: Use less paint.');
});

test('a message comes from an argument or stdin, once with a key', async () => {
  const { stdout } = await slipway('build', 'start', '-p', 'boats', '--run-after', '2099-01-01', 'Later.');
  const id = stdout.trim();
  const sent = await json('build', 'tell', id, 'Hello.', '--idempotency-key', 'k');
  expect(sent).toMatchObject({ mode: 'QUEUE', state: 'PENDING', text: 'Hello.', deduplicated: false });
  const again = await slipway('build', 'tell', id, 'Hello.', '--idempotency-key', 'k');
  expect(again).toMatchObject({ exitCode: 0, stderr: expect.stringContaining('was used before') });
  const piped = await runCommand(['build', 'tell', id, '-', '--interrupt', '--json'], { environment, stdin: 'Stop.' });
  expect(JSON.parse(piped.stdout)).toMatchObject({ mode: 'INTERRUPT', text: 'Stop.' });
  const tooLarge = await runCommand(['build', 'tell', id, '-'], { environment, stdin: 'x'.repeat(65_537) });
  expect(tooLarge).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('larger than 65536 bytes') });
  await slipway('build', 'cancel', id);
  const late = await slipway('build', 'tell', id, 'Too late.');
  expect(late).toMatchObject({ exitCode: 1, stdout: '' });
  expect(late.stderr).toContain('resumeFrom');
});

test('several things are answered in their order, and what does not fit is refused', async () => {
  const id = await startAsking(COLOUR);
  const questions = [question('Which?', ['a', 'b'], true), question('Why?')];
  const asked = await askByHand(stack, fromPublicId('build', id) ?? '', { kind: 'QUESTION', questions });
  const [, second] = (await shown(id)).questions;
  expect(fromPublicId('question', second?.id ?? '')).toBe(asked);
  const answer = (...texts: readonly string[]) => slipway('build', 'answer', second?.id ?? '', ...texts);
  const short = await answer('1,2');
  expect(short).toMatchObject({ exitCode: 1, stdout: '' });
  expect(short.stderr).toContain('must hold one list for each of the 2 questions');
  expect(await answer('1,2', 'For fun.')).toMatchObject({
    exitCode: 0,
    stdout: expect.stringContaining('a, b; For fun.'),
  });
  expect((await answer('1', 'Again.')).stderr).toContain('already ANSWERED');
  await slipway('build', 'cancel', id);
});

test.each([['answer', 'yes'], ['approve'], ['reject']])(
  'build %s of what is not there is exit code 1',
  async (command, ...args) => {
    const { exitCode, stdout, stderr } = await slipway('build', command, `question_${'0'.repeat(32)}`, ...args);
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
    expect(stderr).toMatch(/^error: There is no question question_0+/);
  },
);
