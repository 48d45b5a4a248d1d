/** Our program around Claude Code, around stand-ins that do what Claude Code does seldom or never. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { AgentTask, AgentWord } from '../../src/agents/agent.ts';
import type { ClaudeInput } from '../../src/agents/claude-code-program.ts';
import { waitFor } from '../support/wait-for.ts';

const PROGRAM = new URL('../../src/agents/claude-code-program.ts', import.meta.url).pathname;

/** For a stand-in: the next line of its input that holds these words. */
const NEXT = `
  const readline = require('node:readline').createInterface({ input: process.stdin });
  const lines = readline[Symbol.asyncIterator]();
  const next = async (words) => {
    for (;;) {
      const { value, done } = await lines.next();
      if (done) return null;
      if (value.includes(words)) return JSON.parse(value);
    }
  };
  const print = (...all) => { for (const one of all) process.stdout.write(JSON.stringify(one) + '\\n'); };
  const state = (state) => ({ type: 'system', subtype: 'session_state_changed', state });
`;

interface Options {
  readonly asks?: AgentTask['asks'];
  /** In place of a file. */
  readonly stdout?: string;
}

/** Runs it around this program, given as JavaScript or as a command. */
async function start(standIn: string | [string, ...string[]], { asks, stdout }: Options = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-program-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const files = { stdout: stdout ?? join(folder, 'stdout'), inbox: join(folder, 'inbox') };
  await writeFile(files.inbox, '');
  const output = await open(files.stdout, 'a');
  const child = spawn(process.execPath, [PROGRAM], {
    cwd: folder,
    env: { PATH: process.env.PATH, SLIPWAY_INBOX: files.inbox },
    stdio: ['pipe', output.fd, 'pipe'],
  });
  await output.close();
  onTestFinished(() => void child.kill('SIGKILL'));
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const command: ClaudeInput['command'] =
    typeof standIn === 'string' ? [process.execPath, '-e', `(async () => {${NEXT}${standIn}})()`] : standIn;
  const input: ClaudeInput = { command, prompt: 'The prompt.', asks: asks ?? { questions: false, permissions: false } };
  child.stdin?.end(JSON.stringify(input));
  const ended = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  const printed = () => readFile(files.stdout, 'utf8');
  return {
    folder,
    ended,
    bytes: () => readFile(files.stdout),
    stderr: () => stderr,
    tell: (word: AgentWord) => appendFile(files.inbox, `\n${JSON.stringify(word)}\n`),
    hasPrinted: (words: string) => waitFor(async () => (await printed()).includes(words), { what: words }),
    /** Every line is one: fails on half a line, or two in one. */
    lines: async () =>
      (await printed())
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line)),
  };
}

test('what the agent prints comes out as it is', async () => {
  const hex = Buffer.from('{"a":1}\r\n\0\xff\xfe\n\n{"type":"result"', 'latin1').toString('hex');
  const long = 17 * 1024 * 1024;
  const { ended, bytes } = await start(`
    process.stdout.write('x'.repeat(${long}) + '\\n');
    process.stdout.write(Buffer.from('${hex}', 'hex'), () => process.exit(0));
  `);
  expect(await ended).toEqual([0, null]);
  const output = await bytes();
  expect(output.subarray(0, long + 1).equals(Buffer.from(`${'x'.repeat(long)}\n`))).toBe(true);
  expect(output.subarray(long + 1).toString('hex')).toBe(hex);
});

test.each([
  ['an exit code', 'process.exit(3)', 3],
  ['success', 'process.exit(0)', 0],
  ['a signal', 'process.kill(process.pid, "SIGKILL")', 137],
])('it ends as the agent ends: %s', async (_, code, status) => {
  const { ended } = await start(code);
  expect(await ended).toEqual([status, null]);
});

test('a program that is not there, or cannot be run, ends like in a shell', async () => {
  const missing = await start(['/no/such/claude']);
  expect(await missing.ended).toEqual([127, null]);
  expect(missing.stderr()).toBe('/no/such/claude: not found\n');
  const folder = await start([tmpdir()]);
  expect(await folder.ended).toEqual([126, null]);
});

test('a SIGTERM to the group is for the agent, and it decides when it ends', async () => {
  const { ended, hasPrinted, lines } = await start(`
    process.on('SIGTERM', () => { print({ type: 'bye' }); process.exit(143); });
    print({ pid: process.ppid });
    await next('never');
  `);
  await hasPrinted('pid');
  const [{ pid }] = await lines();
  process.kill(pid, 'SIGTERM');
  const standIn = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  process.kill(Number(standIn.trim()), 'SIGTERM');
  expect(await ended).toEqual([143, null]);
  expect(await lines()).toContainEqual({ type: 'bye' });
});

test('its input stays open until it is idle, and a message that it has is heeded first', async () => {
  const { ended, hasPrinted, tell, lines } = await start(`
    const { message } = await next('The prompt.');
    print(state('running'), { type: 'result', message });
    const { uuid } = await next('A message.');
    print(state('idle'), state('running'), { type: 'command_lifecycle', command_uuid: uuid, state: 'queued' });
    print({ type: 'command_lifecycle', command_uuid: uuid, state: 'started' });
    const { uuid: last } = await next('Another.');
    print({ type: 'command_lifecycle', command_uuid: last, state: 'cancelled' }, state('idle'));
    print({ type: 'ended', line: await next('anything') });
  `);
  await hasPrinted('result');
  await tell({ type: 'message', id: 'm1', text: 'A message.' });
  await hasPrinted('took');
  await tell({ type: 'message', id: 'm2', text: 'Another.' });
  expect(await ended).toEqual([0, null]);
  const types = (await lines()).map(({ type, subtype, took }) => took ?? subtype ?? type);
  const state = 'session_state_changed';
  const lifecycle = 'command_lifecycle';
  expect(types).toEqual([state, 'result', state, state, lifecycle, lifecycle, 'm1', lifecycle, state, 'ended']);
});

test('one that tells no state is left without input at its result', async () => {
  const { ended, lines } = await start(`
    print({ type: 'result' });
    print({ type: 'ended', line: await next('anything') });
  `);
  expect(await ended).toEqual([0, null]);
  expect(await lines()).toEqual([{ type: 'result' }, { type: 'ended', line: null }]);
});

test('its own lines never stand inside of another', async () => {
  const { ended, hasPrinted, tell, lines } = await start(`
    const { uuid } = await next('A message.');
    process.stdout.write(JSON.stringify({ type: 'command_lifecycle', command_uuid: uuid, state: 'started' }) + '\\n{"half":');
    await next('The rest.');
    process.stdout.write('1}\\n', () => process.exit(0));
  `);
  await tell({ type: 'message', id: 'm1', text: 'A message.' });
  await hasPrinted('half');
  await tell({ type: 'message', id: 'm2', text: 'The rest.' });
  await ended;
  const found = await lines();
  expect(found).toContainEqual({ half: 1 });
  expect(found).toContainEqual({ type: 'slipway', took: 'm1' });
});

test('what nobody can be asked, and what it does not know, is answered at once', async () => {
  const request = (tool_name: string) => ({ subtype: 'can_use_tool', tool_name, input: {} });
  const { ended, lines } = await start(
    `
    print({ type: 'control_request', request_id: 'r1', request: ${JSON.stringify(request('Bash'))} });
    print(await next('r1'));
    print({ type: 'control_request', request_id: 'r2', request: { subtype: 'something_new' } });
    print(await next('r2'), { type: 'result' });
  `,
    { asks: { questions: true, permissions: false } },
  );
  expect(await ended).toEqual([0, null]);
  const answers = (await lines()).filter(({ type }) => type === 'control_response').map(({ response }) => response);
  expect(answers).toMatchObject([
    { subtype: 'success', request_id: 'r1', response: { behavior: 'deny', message: expect.stringMatching(/^Nobody/) } },
    { subtype: 'error', request_id: 'r2', error: expect.stringMatching(/^Slipway/) },
  ]);
});

test('a request that is withdrawn takes no answer any more', async () => {
  const { ended, hasPrinted, tell, lines } = await start(
    `
    const request = { subtype: 'can_use_tool', tool_name: 'Bash', input: {} };
    for (const request_id of ['r1', 'r2']) print({ type: 'control_request', request_id, request });
    print({ type: 'control_cancel_request', request_id: 'r1' });
    print({ type: 'heard', line: await next('control_response') }, { type: 'result' });
  `,
    { asks: { questions: true, permissions: true } },
  );
  await hasPrinted('control_cancel_request');
  const decision = { type: 'decision', allow: true, always: false, message: null } as const;
  await tell({ ...decision, id: 'r1' });
  await tell({ ...decision, id: 'r2' });
  expect(await ended).toEqual([0, null]);
  const found = await lines();
  expect(found.find(({ type }) => type === 'heard').line.response.request_id).toBe('r2');
  expect(found.filter(({ type }) => type === 'slipway')).toEqual([{ type: 'slipway', closed: 'r2' }]);
});

test('the agent sees nothing of the inbox', async () => {
  const { ended, lines } = await start(`print(Object.keys(process.env)); process.exit(0)`);
  await ended;
  expect(await lines()).toEqual([['PATH']]);
});

test('on a full disk it ends, and the agent with it', async () => {
  const { ended, folder, stderr } = await start(
    `
    require('node:fs').writeFileSync('pid', String(process.pid));
    print({ type: 'too much' });
    setTimeout(() => {}, 60_000);
  `,
    { stdout: '/dev/full' },
  );
  expect(await ended).toEqual([1, null]);
  expect(stderr()).toContain('ENOSPC');
  const pid = Number(await readFile(join(folder, 'pid'), 'utf8'));
  await waitFor(async () => !(await isAlive(pid)), { what: 'the end of the agent' });
});

/** Nobody may be there who buries it. */
async function isAlive(pid: number): Promise<boolean> {
  return (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')) !== '';
}
