/** On a real terminal: util-linux' script(1) gives the program a pseudo-terminal. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openTestApi, type TestApi } from '../support/api.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';
import { waitFor } from '../support/wait-for.ts';
import { runCommand } from './run-command.ts';

const PROGRAM = join(import.meta.dirname, '../../bin/slipway.js');
const SCRIPT = '/usr/bin/script';
const hasScript = spawnSync(SCRIPT, ['--version']).stdout?.toString().includes('util-linux') ?? false;

let stack: TestStack;
let api: TestApi;

beforeAll(async () => {
  stack = await openTestStack();
  api = await openTestApi(stack);
  await stack.openWorker();
  await stack.createProject({ name: 'Boats' });
});

afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await stack[Symbol.asyncDispose]();
});

function onTerminal(prompt: string, environment: Record<string, string> = {}) {
  const command = `stty cols 100 rows 40; exec "$NODE" "$PROGRAM" build start -p boats --watch $FLAGS "$PROMPT"`;
  const child = spawn(SCRIPT, ['--quiet', '--return', '--flush', '--command', command, '/dev/null'], {
    env: {
      PATH: process.env.PATH,
      SHELL: '/bin/sh',
      TERM: 'xterm-256color',
      NODE: process.execPath,
      PROGRAM,
      PROMPT: prompt,
      FLAGS: '',
      SLIPWAY_URL: api.url,
      SLIPWAY_TOKEN: api.token,
      ...environment,
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  return {
    type: (keys: string) => void child.stdin.write(keys),
    get output() {
      return output;
    },
    ended: once(child, 'close').then(([code]) => code as number),
  };
}

const ESCAPE = '\u001b';

test.skipIf(!hasScript)('a terminal shows the phases as tasks, with the activity below the one that runs', async () => {
  const hostile = `${ESCAPE}]0;your title\u0007I write.`;
  const watched = onTerminal(script({ print: hostile }, { wait: 0.5 }, { write: { path: 'a', content: 'a' } }));
  expect(await watched.ended).toBe(0);
  expect(watched.output).toContain('› says: I write.');
  expect(watched.output).not.toContain(`${ESCAPE}]0;`);
  for (const title of ['Queued', 'Prepare the workspace', 'Agent', 'Commit and push', 'Collect artifacts']) {
    expect(watched.output).toMatch(new RegExp(`✔\\S* ${title} · [\\d.]+ m?s`));
  }
  expect(watched.output).toMatch(/COMPLETED\S* boats#\d+ in/);
});

test.skipIf(!hasScript)('a failure leaves its phase marked and says what to do', async () => {
  const watched = onTerminal(script({ fail: 'It broke.' }));
  expect(await watched.ended).toBe(3);
  expect(watched.output).toMatch(/✖\S* Agent · /);
  expect(watched.output).toMatch(/Failure +AGENT_ERROR while AGENT: It broke\./);
});

test.skipIf(!hasScript)('what the agent asks stays above the waiting, until it is answered', async () => {
  const ask = { ask: { question: `Which ${ESCAPE}[2Jcolour?`, options: ['Blue', 'Red'] } };
  const watched = onTerminal(script(ask, { write: { path: 'c', content: 'c' } }), { FLAGS: '--ask-questions' });
  const [, command = ''] = await waitFor(() => /slipway (build answer \S+) ANSWER/.exec(watched.output), {
    what: 'the question',
  });
  await waitFor(() => /Waits for people until [\d-]+ [\d:]+/.test(watched.output), { what: 'the waiting' });
  expect(watched.output).toMatch(/Which colour\?\r\n +1\. Blue\r\n +2\. Red\r\n/);
  const environment = { SLIPWAY_URL: api.url, SLIPWAY_TOKEN: api.token };
  expect(await runCommand([...command.split(' '), 'Blue'], { environment })).toMatchObject({ exitCode: 0 });
  expect(await watched.ended).toBe(0);
  expect(watched.output).toMatch(
    /✔\S* Waits for people until [^·]+· [\d.]+ m?s[\s\S]*✔\S* Agent · [\s\S]*✔\S* Commit and push/,
  );
  expect(watched.output).not.toContain(`${ESCAPE}[2J`);
});

test.skipIf(!hasScript)('with NO_COLOR there is not one escape sequence', async () => {
  const watched = onTerminal(script({ write: { path: 'b', content: 'b' } }), { NO_COLOR: '1' });
  expect(await watched.ended).toBe(0);
  expect(watched.output).not.toContain(ESCAPE);
  expect(watched.output).toContain('  1  queued');
});

test.skipIf(!hasScript)('Ctrl-C leaves the terminal in order and the build at work', async () => {
  const watched = onTerminal(script({ print: 'I wait.' }, { wait: 2 }));
  await waitFor(() => watched.output.includes('I wait.'), { what: 'the agent' });
  watched.type('\u0003');
  expect(await watched.ended).toBe(2);
  expect(watched.output).toMatch(/slipway build watch build_[0-9a-f]{32} --after \d+/);
  expect(watched.output).not.toMatch(/[✔✖]\S* Agent/);
  // The cursor is shown again after it was hidden for the last time.
  expect(watched.output.lastIndexOf(`${ESCAPE}[?25h`)).toBeGreaterThan(watched.output.lastIndexOf(`${ESCAPE}[?25l`));
});
