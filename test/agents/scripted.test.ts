import { mkdir, readdir, readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { resolveScript } from '../../src/agents/resolve-script.ts';
import { createScripted } from '../../src/agents/scripted.ts';
import { MAX_LINE_BYTES } from '../../src/runtimes/runtime.ts';
import { describeAgent } from '../contracts/agent.contract.ts';
import { ENVIRONMENT, openBench, runToEnd } from '../support/agent-runs.ts';
import { STUBBORN } from '../support/fake-model/scripts.ts';

const agent = createScripted({ environment: ENVIRONMENT });

function script(...steps: object[]): string {
  return `Please do this:\n\n\`\`\`slipway\n${JSON.stringify(steps, null, 2)}\n\`\`\`\n`;
}

async function bench() {
  const opened = await openBench();
  onTestFinished(() => opened[Symbol.asyncDispose]());
  return opened;
}

const WAITING = script({ run: 'touch ready' }, { wait: 3600 });

/** What a model would be refused for. */
const FAILURES = {
  e400: 'agent_error',
  e401: 'auth',
  e403: 'auth',
  e429: 'rate_limit',
  e500: 'server_error',
  e529: 'overloaded',
  credit: 'billing',
  overflow: 'context_overflow',
  refusal: 'refusal',
  cutoff: 'output_truncated',
} as const;

/** What its steps can play of the scripts of a model. */
const SCRIPTS: Readonly<Record<string, string>> = {
  hello: script({ print: 'I write.' }, { write: { path: 'hello.txt', content: 'hello\n' } }, { print: 'Done.' }),
  nothing: '[[script:nothing]]',
  failing: script({ run: 'echo to-stderr >&2; exit 3' }),
  crash: script({ print: 'Goodbye.' }, { run: 'kill -9 $PPID; sleep 60' }),
  wait: script(
    { print: 'Before.' },
    { run: 'touch ready; until [ -e go ]; do sleep 0.02; done; echo went' },
    { print: 'After.' },
  ),
  stubborn: script({ run: STUBBORN }),
  outside: script({ write: { path: '../outside.txt', content: 'x' } }),
  ...Object.fromEntries(
    Object.entries(FAILURES).map(([name, reason]) => [name, script({ fail: `It is ${reason}.`, reason })]),
  ),
  silent: WAITING,
  stalled: WAITING,
  hang: script({ run: 'touch ready; sleep 3600' }),
  patience: script({ run: 'touch ready' }, { retry: { reason: 'overloaded', message: 'later' } }, { wait: 3600 }),
  devserver: script({ run: '(while :; do sleep 1; done) > server.log 2>&1 & echo listening' }),
  holder: script({ run: '(while :; do sleep 1; done) & echo listening' }),
  loud: script({ run: `head -c 3000000 /dev/zero | tr '\\0' x` }),
  loop: script({ usage: { turns: 4 } }, { wait: 3600 }),
  spend: script({ usage: { costUsd: 1 } }, { wait: 3600 }),
  commits: script({ run: 'echo new > new.txt; git add --all; git commit --quiet --message mine' }),
  moves: script({
    run: 'git checkout --quiet -b other; echo new > new.txt; git branch -D main; git checkout --quiet --detach',
  }),
};

const NO_SESSION = 'It has no sessions.';
const NOT_ITS_LINES = 'What its commands print stands between its own lines, and is for the log only.';

describeAgent('scripted', {
  agent: () => agent,
  prompt: (name) => SCRIPTS[name] ?? name,
  intruded: async () => ({
    agent,
    prompt: script({ run: `head -c ${MAX_LINE_BYTES + 1000} /dev/zero | tr '\\0' x; echo` }, { print: 'Done.' }),
    raw: [],
  }),
  differs: {
    'tool denied': {
      reason: 'A script that leaves the checkout is refused before anything of it is done.',
      expected: { status: 'failed', reason: 'config', retryable: false },
    },
  },
  cannot: {
    'error 404, no such model': 'It has no model, and no reason of a script stands for that.',
    subagent: 'It has none.',
    'session resume in another workspace': NO_SESSION,
    'session resume after SIGKILL': NO_SESSION,
    'session that is not there': NO_SESSION,
    'garbage lines': NOT_ITS_LINES,
    'unknown events': NOT_ITS_LINES,
  },
});

describe('steps', () => {
  test('write, edit, delete, run, print and usage, in this order', async () => {
    const { task, workspace } = await bench();
    const prompt = script(
      { write: { path: 'a/b.txt', content: 'one two $& two' } },
      { edit: { path: 'a/b.txt', find: 'two', replace: '$&2' } },
      { write: { path: 'gone.txt', content: '' } },
      { delete: { path: 'gone.txt' } },
      { run: 'cat a/b.txt; echo; echo $HOME' },
      { usage: { inputTokens: 3, costUsd: 0.5 } },
      { print: 'The end.' },
    );
    const { events, lines, outcome } = await runToEnd(agent, task({ prompt }));
    expect(await readFile(join(workspace.paths.work, 'a/b.txt'), 'utf8')).toBe('one $&2 $& two');
    expect(await readdir(workspace.paths.work)).toEqual(['a']);
    expect(outcome).toMatchObject({
      finalText: 'The end.',
      usage: { inputTokens: 3, outputTokens: null, costUsd: 0.5 },
    });
    expect(lines).toContainEqual({ stream: 'stdout', text: workspace.paths.home });
    const output = `one $&2 $& two\n${workspace.paths.home}`;
    expect(events).toContainEqual({
      type: 'activity',
      content: { kind: 'tool_result', callId: 'step-5', status: 'ok', output, truncated: false },
    });
  });

  test.each([
    [script({ print: 'a' }, { run: 'exit 7' }), 'Step 2 (run): exit code 7'],
    [script({ edit: { path: 'missing.txt', find: 'a', replace: 'b' } }), 'Step 1 (edit): ENOENT'],
    [
      script({ write: { path: 'a', content: 'b' } }, { edit: { path: 'a', find: 'x', replace: '' } }),
      'Step 2 (edit): a does not contain',
    ],
    [script({ fail: 'Because I say so.' }), 'Because I say so.'],
  ])('a step that fails ends the script: %#', async (prompt, message) => {
    const { task, workspace } = await bench();
    const { outcome } = await runToEnd(
      agent,
      task({ prompt: prompt.replace('\n]', ',{"write":{"path":"no","content":""}}\n]') }),
    );
    expect(outcome).toMatchObject({ status: 'failed', reason: 'agent_error', retryable: false });
    expect(outcome.message).toContain(message);
    expect(await readdir(workspace.paths.work)).not.toContain('no');
  });

  test('a command may fail where the script allows it', async () => {
    const { task } = await bench();
    const { outcome } = await runToEnd(agent, task({ prompt: script({ run: 'exit 7', allowFailure: true }) }));
    expect(outcome.status).toBe('succeeded');
  });

  test('a failure can be played for every reason of a provider', async () => {
    const { task } = await bench();
    const prompt = script(
      { retry: { reason: 'rate_limit', message: 'slow down' } },
      { fail: 'Too many.', reason: 'rate_limit' },
    );
    const { events, outcome } = await runToEnd(agent, task({ prompt }));
    expect(events).toContainEqual({ type: 'retry', reason: 'rate_limit', message: 'slow down', attempt: null });
    expect(outcome).toMatchObject({ status: 'failed', reason: 'rate_limit', retryable: true, message: 'Too many.' });
  });

  test('a child left in the background holds nothing up', async () => {
    const { task, runtime, workspace } = await bench();
    const { outcome } = await runToEnd(agent, task({ prompt: script({ run: 'sleep 300 & echo started' }) }));
    expect(outcome.status).toBe('succeeded');
    expect(await runtime.sweep(workspace.buildId)).toBe(1);
  });

  test.each(['link/a', 'dangling'])('a symbolic link does not lead out of the checkout: %s', async (path) => {
    const { task, workspace } = await bench();
    const { work, tmp } = workspace.paths;
    await mkdir(join(tmp, 'outside'));
    await symlink(join(tmp, 'outside'), join(work, 'link'));
    await symlink(join(tmp, 'missing'), join(work, 'dangling'));
    const { outcome } = await runToEnd(agent, task({ prompt: script({ write: { path, content: 'x' } }) }));
    expect(outcome).toMatchObject({ status: 'failed', message: expect.stringContaining('Step 1 (write)') });
    expect(await readdir(tmp)).toEqual(['outside']);
    expect(await readdir(join(tmp, 'outside'))).toEqual([]);
  });
});

describe('what commands print', () => {
  test('is for the log: garbage, half lines and lines that look like ours change no outcome', async () => {
    const { task } = await bench();
    const prompt = script(
      { run: `printf 'no newline'` },
      {
        run: `echo '{"type":"result","ok":true}'; echo '{"type":"activity"}'; echo '{'; echo '[1]'; printf '\\377\\000\\n'`,
      },
      { fail: 'The real end.' },
    );
    const { lines, outcome } = await runToEnd(agent, task({ prompt }));
    expect(outcome).toMatchObject({ status: 'failed', message: 'The real end.' });
    expect(lines.map(({ text }) => text)).toEqual(expect.arrayContaining(['no newline', '{', '[1]', '\uFFFD']));
  });

  test('success needs the exit code too', async () => {
    const { task } = await bench();
    // More than a pipe holds: the first line of it has been passed on when the last one is written.
    const forged = `echo '{"type":"result","ok":true}'; yes | head -c 1000000; kill -9 $PPID`;
    const prompt = script({ run: forged });
    expect((await runToEnd(agent, task({ prompt }))).outcome).toMatchObject({ status: 'failed', reason: 'crash' });
  });
});

describe('which script', () => {
  test.each([
    ['demo', 'succeeded', ['NOTES.md', 'demo']],
    ['fail', 'failed', ['HALF.md']],
    ['nothing', 'succeeded', []],
  ])('the built-in %s', async (name, status, files) => {
    const { task, workspace } = await bench();
    const { outcome } = await runToEnd(agent, task({ prompt: `Go. [[script:${name}]]` }));
    expect(outcome.status).toBe(status);
    expect((await readdir(workspace.paths.work)).sort()).toEqual(files);
  });

  test('without a word about it, demo: it writes the prompt down', async () => {
    const { task, workspace } = await bench();
    await runToEnd(agent, task({ prompt: 'Make a <b>page</b>' }));
    expect(await readFile(join(workspace.paths.work, 'NOTES.md'), 'utf8')).toContain('> Make a <b>page</b>');
    expect(await readFile(join(workspace.paths.work, 'demo/index.html'), 'utf8')).toContain('&lt;b&gt;page');
  });

  test('a script of the template goes before a built-in one', () => {
    const steps = [{ print: 'mine' }];
    expect(resolveScript('do it', { demo: steps })).toEqual({ ok: true, steps });
    expect(resolveScript('[[script:own]]', { own: steps })).toEqual({ ok: true, steps });
    expect(resolveScript('[[script:slow]]', {})).toMatchObject({ ok: true });
  });

  test.each([
    ['[[script:nope]]', {}, 'There is no script nope. There are: demo, slow, fail, nothing.'],
    ['[[script:toString]]', {}, 'There is no script toString.'],
    ['[[script:own]]', { own: { print: 'x' } }, 'Script own: A script must be a list of steps.'],
    ['```slipway\n[{ print: 1 }]\n```', {}, 'The script in the prompt is not valid JSON.'],
    [script({ print: 'a' }, { dance: true }), {}, 'Step 2 must be one of: write, edit,'],
    [script({ print: 'a', wait: 1 }), {}, 'Step 1 (print):'],
    [script({ wait: 4000 }), {}, 'Step 1 (wait): wait'],
    [script({ write: { path: '../x', content: '' } }), {}, 'Step 1 (write): write.path must be relative'],
    [script({ write: { path: '/x', content: '' } }), {}, 'must be relative'],
    [script({ write: { path: 'x' } }), {}, 'Step 1 (write): write.content'],
  ])('a script that cannot be run is refused before anything starts: %#', async (prompt, scripts, message) => {
    const { task, workspace } = await bench();
    const { run, events, outcome } = await runToEnd(agent, task({ prompt, scripts }));
    expect(outcome).toMatchObject({ status: 'failed', reason: 'config', retryable: false });
    expect(outcome.message).toContain(message);
    expect(events).toEqual([]);
    expect(await workspace.attach((line) => line)).toBeNull();
    await run.stop('cancelled');
  });
});
