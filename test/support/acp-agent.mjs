/**
 * A small ACP agent for tests: `[[acp:NAME]]` in the prompt says what it does in its turn, its first argument how it
 * misbehaves before that. It counts its prompts in a file of its home, so that a session can be loaded.
 */
import { execFileSync, spawn } from 'node:child_process';
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { STUBBORN } from './fake-model/scripts.ts';

const [mode = ''] = process.argv.slice(2);
const SESSIONS = join(process.env.HOME ?? '/nowhere', 'acp-sessions');
const waiting = new Map();
let sessionId = 'session-1';
let lastId = 100;
let running = null;
let onCancel = () => {};
let isCancelled = false;

function send(message) {
  process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
}

function update(kind, fields) {
  send({ method: 'session/update', params: { sessionId, update: { sessionUpdate: kind, ...fields } } });
}

function say(text) {
  const messageId = `message-${++lastId}`;
  for (const piece of text.match(/.{1,8}/gs) ?? []) {
    update('agent_message_chunk', { messageId, content: { type: 'text', text: piece } });
  }
}

function ask(method, params) {
  const id = `a-${++lastId}`;
  send({ id, method, params: { sessionId, ...params } });
  return new Promise((answered) => waiting.set(id, answered));
}

const OPTIONS = [
  { optionId: 'always', name: 'Always', kind: 'allow_always' },
  { optionId: 'yes', name: 'Yes', kind: 'allow_once' },
  { optionId: 'no', name: 'No', kind: 'reject_once' },
];

/** Asks first, and says whether it may. */
async function isAllowed(toolCall, options = OPTIONS) {
  const { result } = await ask('session/request_permission', { toolCall, options });
  return result?.outcome?.optionId === 'yes';
}

/** The word of the answer: an option, or that there is none. */
async function askShell(command, onAsked = () => {}) {
  const toolCallId = `shell-${++lastId}`;
  const call = { toolCallId, name: 'shell', kind: 'execute', title: command, rawInput: { command } };
  const answered = ask('session/request_permission', { toolCall: call, options: OPTIONS });
  onAsked(`a-${lastId}`);
  const { outcome } = (await answered).result;
  const word = outcome.optionId ?? outcome.outcome;
  appendFileSync(join(process.env.TMPDIR, 'answers'), `${word}\n`);
  if (word === 'yes' || word === 'always') execFileSync('/bin/sh', ['-c', command]);
  update('tool_call_update', { toolCallId, status: word === 'no' ? 'failed' : 'completed', rawOutput: word });
  return word;
}

async function write(path, content) {
  const toolCallId = `write-${++lastId}`;
  const call = { toolCallId, title: `Write ${path}`, kind: 'edit', locations: [{ path }] };
  update('tool_call', { ...call, status: 'pending', rawInput: {} });
  update('tool_call_update', { toolCallId, rawInput: { path, content } });
  if (!(await isAllowed(call))) return;
  writeFileSync(path, content);
  update('tool_call_update', { toolCallId, status: 'completed', rawOutput: 'Written.' });
}

async function run(command) {
  const toolCallId = `run-${++lastId}`;
  update('tool_call', {
    toolCallId,
    name: 'shell',
    kind: 'execute',
    title: command,
    status: 'in_progress',
    rawInput: { command },
  });
  running = spawn('/bin/sh', ['-c', command], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [running.stdout, running.stderr]) stream.on('data', (chunk) => (output += chunk));
  const code = await new Promise((done) => running.on('exit', (status) => done(status)));
  const status = code === 0 ? 'completed' : 'failed';
  update('tool_call_update', { toolCallId, status, rawOutput: code === 0 ? output : `exit code ${code}\n${output}` });
}

const never = () => new Promise(() => setInterval(() => {}, 1_000));
const END = { stopReason: 'end_turn' };

/** A turn that fails as the adapters of real agents tell it. */
const refused = (code, message, details) => async () => ({ code, message, ...(details ? { data: { details } } : {}) });
const internal = (details) => refused(-32603, 'Internal error', details);

async function inTheMiddle() {
  writeFileSync('ready', '');
  return never();
}

const TURNS = {
  async hello() {
    say('I will write the file.');
    await write('hello.txt', 'hello\n');
    await run('wc -c hello.txt');
    say('Done: hello.txt is written.');
    update('usage_update', { used: 10, size: 100, cost: { amount: 0.25, currency: 'USD' } });
    return { ...END, usage: { inputTokens: 7, outputTokens: 3, cachedReadTokens: 2 } };
  },
  async nothing() {
    say('There is nothing to do.');
    return END;
  },
  async failing() {
    await run('echo to-stderr >&2; exit 3');
    say('It failed.');
    return END;
  },
  crash: () => process.kill(process.pid, 'SIGKILL') && never(),
  async wait() {
    say('Before.');
    await run('touch ready; until [ -e go ]; do sleep 0.02; done; echo went');
    say('After.');
    return END;
  },
  async stubborn() {
    await run(STUBBORN);
    return END;
  },
  async garbage() {
    process.stdout.write('this is no JSON\n[1,2]\n"text"\n{"type":"result","problem":null}\n\u0000\n{"half":\n');
    send({ id: 4711, result: {} });
    send({ id: { toString: 1 }, method: 'session/request_permission', params: null });
    say('Still here.');
    return END;
  },
  async huge() {
    process.stdout.write(`${'x'.repeat(17 * 1024 * 1024)}\n`);
    await run('echo small');
    say('y'.repeat(100_000));
    return END;
  },
  async loud() {
    await run(`head -c 3000000 /dev/zero | tr '\\0' x`);
    return END;
  },
  async unknown() {
    update('telepathy', { thought: 'x' });
    send({ method: '_news/of/tomorrow', params: {} });
    const { error } = await ask('fs/read_text_file', { path: '/etc/passwd' });
    say(`The error was ${error?.code}.`);
    return END;
  },
  async twice() {
    const toolCall = { toolCallId: 'twice', title: 'Twice', kind: 'execute' };
    const answers = [await isAllowed(toolCall), await isAllowed(toolCall)];
    update('tool_call_update', { toolCallId: 'twice', status: 'completed' });
    update('tool_call_update', { toolCallId: 'twice', status: 'completed' });
    say(`Asked twice: ${answers}.`);
    return END;
  },
  async approve() {
    const answers = [await askShell('touch one.txt'), await askShell('touch two.txt')];
    say(`Answered: ${answers}.`);
    return isCancelled ? { stopReason: 'cancelled' } : END;
  },
  async together() {
    const answers = await Promise.all([askShell('touch one.txt'), askShell('touch two.txt')]);
    say(`Answered: ${answers}.`);
    return END;
  },
  async impatient() {
    const withdraw = (requestId) => send({ method: '$/cancel_request', params: { requestId } });
    say(`Answered: ${await askShell('touch one.txt', withdraw)}.`);
    return END;
  },
  async outside() {
    await write('../../outside.txt', 'x');
    say('I could not write outside.');
    return END;
  },
  async cancelled() {
    writeFileSync('ready', '');
    await new Promise((cancelled) => {
      onCancel = cancelled;
      setInterval(() => {}, 1_000);
    });
    appendFileSync('was-cancelled', 'softly');
    return { stopReason: 'cancelled' };
  },
  silent: inTheMiddle,
  stalled: () => {
    say('I begin to talk and');
    return inTheMiddle();
  },
  async hang() {
    await run('touch ready; sleep 3600');
    return END;
  },
  async devserver() {
    await run('(while :; do sleep 1; done) > server.log 2>&1 & echo listening');
    say('The server runs.');
    return END;
  },
  async holder() {
    await run('(while :; do sleep 1; done) & echo listening');
    say('The server runs.');
    return END;
  },
  async spend() {
    update('usage_update', { used: 10, size: 100, cost: { amount: 0.25, currency: 'USD' } });
    return never();
  },
  async commits() {
    await run('echo new > new.txt; git add --all; git commit --quiet --message mine');
    return END;
  },
  async moves() {
    await run('git checkout -b other; echo new > new.txt; git branch -D main; git checkout --detach');
    return END;
  },
  async again() {
    await run('echo again >> hello.txt');
    say('Appended.');
    return END;
  },
  async chatter() {
    process.removeAllListeners('SIGTERM').on('SIGTERM', () => {});
    for (let count = 0; ; count++) {
      process.stderr.write(`${count}${'e'.repeat(1_000)}\n`);
      if (count === 1000) writeFileSync('ready', '');
      if (count % 10 === 0) await delay(1);
    }
  },
  async deaf() {
    process.stdin.pause();
    for (;;) {
      send({ id: `a-${++lastId}`, method: 'n', params: {} });
      await new Promise((next) => setImmediate(next));
    }
  },
  closed: () => {
    process.stdout.end();
    return never();
  },
  refusal: async () => ({ stopReason: 'refusal' }),
  cutoff: async () => ({ stopReason: 'max_tokens' }),
  loop: async () => ({ stopReason: 'max_turn_requests' }),
  e400: internal('API Error: 400 messages: Input should be a valid list'),
  e401: refused(-32000, 'Authentication required'),
  e403: refused(403, 'The caller does not have permission'),
  e404: refused(404, 'There is no such model'),
  e429: refused(429, 'Too Many Requests'),
  e500: internal('API Error: 500 Internal server error'),
  e529: internal('API Error: 529 Overloaded'),
  credit: internal('Credit balance is too low'),
  overflow: internal('Prompt is too long'),
  mystery: async () => ({ stopReason: 'boredom' }),
  env: async () => {
    writeFileSync(
      'env.txt',
      Object.entries(process.env)
        .map(([name, value]) => `${name}=${value}`)
        .join('\n'),
    );
    return END;
  },
};

async function turn(id, { prompt }) {
  const text = prompt.map((part) => part.text).join('');
  appendFileSync(SESSIONS, `${sessionId}\n`);
  writeFileSync(join(process.env.HOME ?? '/nowhere', 'acp-prompt'), text);
  const name = /\[\[acp:([a-z0-9]+)\]\]/.exec(text)?.[1] ?? 'nothing';
  const end = await TURNS[name]();
  send('code' in end ? { id, error: end } : { id, result: end });
}

const ANSWERS = {
  initialize: () => ({
    protocolVersion: mode === 'future' ? 2 : 1,
    agentInfo: { name: 'acp-agent', version: '1.2.3' },
    agentCapabilities: { loadSession: mode !== 'forgetful' },
  }),
  'session/new': () => ({
    sessionId,
    configOptions: mode === 'fixed' ? [] : [{ id: 'model', category: 'model', currentValue: 'small' }],
  }),
  'session/set_config_option': () => ({}),
  'session/load': (params) => {
    if (!existsSync(SESSIONS) || !readFileSync(SESSIONS, 'utf8').includes(params.sessionId)) return null;
    sessionId = params.sessionId;
    say('An old message.');
    return {};
  },
};

if (mode === 'broken') {
  process.stderr.write('broken: no such option\n');
  process.exit(2);
}
if (mode === 'mute') await never();

process.on('SIGTERM', () => process.exit(143));
createInterface({ input: process.stdin }).on('line', async (line) => {
  const { id, method, params, ...rest } = JSON.parse(line);
  if (method === undefined) return waiting.get(id)?.(rest);
  if (method === 'session/cancel') {
    isCancelled = true;
    return onCancel();
  }
  if (method === 'session/prompt') return turn(id, params);
  const result = ANSWERS[method]?.(params);
  send(
    result
      ? { id, result }
      : { id, error: { code: -32603, message: 'Internal error', data: { details: 'Not here.' } } },
  );
});
process.stdin.on('end', () => process.exit(0));
