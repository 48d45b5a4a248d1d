import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findProjectBySlug } from '../../src/projects/project.ts';
import { openTestApi, type TestApi } from '../support/api.ts';
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
  expect(await slipway('project', 'create', 'Boats')).toMatchObject({ exitCode: 0 });
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

const startOf = (prompt: string, ...flags: readonly string[]) => ['build', 'start', '-p', 'boats', ...flags, prompt];

/** Starts a build that waits for a time that does not come. */
async function startLater(): Promise<string> {
  const { stdout } = await slipway(...startOf('Later.', '--run-after', '2099-01-01'));
  return stdout.trim();
}

test('projects are created and listed', async () => {
  const flags = ['--slug', 'cars', '--provider', 'scripted', '--artifact', 'dist/**', '--artifact', '*.md'];
  const workspace = ['--image', 'node:24', '--cpu', '2', '--memory', '4Gi', '--storage', '20Gi'];
  const created = await json<{ id: string; slug: string; callbackSecret: string }>(
    'project',
    'create',
    'My cars',
    ...flags,
    ...workspace,
  );
  expect(created).toMatchObject({ slug: 'cars', name: 'My cars', status: 'ACTIVE', defaultBranch: 'main' });
  expect(created.callbackSecret).toMatch(/^whsec_/);
  expect((await findProjectBySlug(stack.orchestrator.db, 'cars'))?.settings.workspace).toEqual({
    image: 'node:24',
    cpu: '2',
    memory: '4Gi',
    storage: '20Gi',
  });
  const refused = await slipway('project', 'create', 'Root', '--image', '--privileged');
  expect(refused).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('must not begin with -') });
  const listed = await json<{ id: string }[]>('project', 'list', '--search', 'cars');
  expect(listed.map(({ id }) => id)).toEqual([created.id]);
  const { stdout } = await slipway('project', 'list');
  expect(stdout).toMatch(/^PROJECT +NAME .*\ncars +My cars +ACTIVE +managed +main /);
});

test('agents are listed with what they can do and where they can be run', async () => {
  const listed = await json<{ name: string; workers: { worker: { name: string }; available: boolean }[] }[]>('agents');
  expect(listed.find(({ name }) => name === 'scripted')).toMatchObject({
    workers: [{ worker: { name: 'test' }, available: true, version: process.version }],
  });
  const { stdout } = await slipway('agents');
  expect(stdout).toMatch(/^AGENT +WORKER +VERSION +KEY +CAN\nclaude-code +test /);
  expect(stdout).toMatch(
    new RegExp(
      `\\nscripted +test +${process.version} +yes +cost, questions, permissions, messages .queue steer interrupt.\\n`,
    ),
  );
});

test('a follow-up of an agent that cannot go on with a session is refused with the reason', async () => {
  const { stdout } = await slipway(...startOf('Write about sails.', '--watch', '--no-commit', '--label', 'follow=up'));
  expect(stdout).toContain('COMPLETED');
  const [build] = await json<{ number: number }[]>('build', 'list', '--label', 'follow=up');
  const { exitCode, stderr } = await slipway(...startOf('More.', '--resume-from', `boats#${build?.number}`));
  expect(exitCode).toBe(1);
  expect(stderr).toContain('input.resumeFrom: scripted cannot go on with an earlier session');
});

test('what the API refuses is told with its issues', async () => {
  const told = await slipway('project', 'create', 'X', '--repository', 'ftp://example.com/x');
  expect(told).toMatchObject({ exitCode: 1, stdout: '' });
  expect(told.stderr).toMatch(/^error: The input is not valid\.\n {2}input\.repositoryUrl: /);
  const { stderr } = await slipway('project', 'create', 'Boats', '--json');
  expect(JSON.parse(stderr)).toMatchObject({ error: { code: 'CONFLICT' } });
});

test('a build is started, watched in plain lines, and shown', async () => {
  const watched = await slipway(...startOf('Write about boats.', '--watch', '--label', 'team=web'));
  expect(watched.exitCode, watched.stdout).toBe(0);
  const lines = watched.stdout.split('\n');
  expect(lines[0]).toMatch(/^\d\d:\d\d:\d\d +1 {2}queued$/);
  expect(watched.stdout).toMatch(/committed [0-9a-f]{10}, 2 files: Write about boats\./);
  expect(watched.stdout).toMatch(/\nCOMPLETED boats#\d+ in .*\n {2}Build +build_[0-9a-f]{32}\n/);
  expect(watched.stdout).toMatch(/ADDED +NOTES\.md +\+\d+ -0\n/);
  expect(watched.stderr).toMatch(/^build_[0-9a-f]{32} is number \d+ of boats\.\n$/);
  const [build] = await json<{ id: string; number: number }[]>(
    'build',
    'list',
    '--label',
    'team=web',
    '--project',
    'boats',
  );
  const byNumber = await json<{ id: string; result: { publication: string } }>(
    'build',
    'show',
    `boats#${build?.number}`,
  );
  expect(byNumber).toMatchObject({ id: build?.id, status: 'COMPLETED', result: { publication: 'PUSHED' } });
});

test('--json gives one object per event, and nothing else on stdout', async () => {
  const { exitCode, stdout } = await slipway(...startOf('Write about ships.', '--watch', '--json'));
  expect(exitCode, stdout).toBe(0);
  const events = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { cursor: string; type: string; buildId: string });
  expect(events.map(({ cursor }) => Number(cursor))).toEqual(events.map((_, index) => index + 1));
  expect(events.at(-1)).toMatchObject({ type: 'FINISHED', status: 'COMPLETED' });
  expect(new Set(events.map(({ buildId }) => buildId)).size).toBe(1);
});

test('the exit code says how a build ended: 3 failed, 2 cancelled', async () => {
  const failed = await slipway(...startOf(script({ fail: 'It broke.' }), '--watch'));
  expect(failed.exitCode).toBe(3);
  expect(failed.stdout).toMatch(/Failure +AGENT_ERROR while AGENT: It broke\./);
  const id = await startLater();
  const watching = startCommand(['build', 'watch', id], { environment });
  await waitFor(() => watching.stdout.includes('queued'), { what: 'the first event' });
  expect(await slipway('build', 'cancel', id, '--reason', 'not needed')).toMatchObject({ exitCode: 0 });
  const watched = await watching.ended;
  expect(watched.exitCode).toBe(2);
  expect(watched.stdout).toMatch(/Cancelled +not needed/);
  const again = await slipway('build', 'cancel', id);
  expect(again.exitCode).toBe(1);
});

test('the queue is shown, once and as it changes, and a build that waits says why', async () => {
  const id = await startLater();
  const { stdout } = await slipway('queue', '-p', 'boats');
  expect(stdout).toMatch(/^Builds {2}0 waiting · \d+ for later · 0 running · 1 worker · \d+\.\d a minute · waits \d/);
  expect(stdout).toMatch(/\nTasks {3}0 waiting · 0 for later · 0 running · 0 failed\n/);
  expect(stdout).toMatch(/\n {2}RUN_AFTER +\d+\n/);
  expect(stdout).toMatch(/\nPROJECT +WAITING +LATER .*\nboats +0 +\d+ +0 +- .*\n\nAGENT .*\nscripted /);
  const all = await json<{ scheduled: number; byProject: { project: { slug: string } }[] }>('queue', '-n', '1');
  expect(all).toMatchObject({ byProject: [{ project: { slug: 'boats' } }], waitP50Ms: expect.any(Number) });

  expect((await slipway('build', 'show', id)).stdout).toMatch(
    /\n {2}Waits +Its time has not come: .*\n {2}Expected +to start 2099-/,
  );
  const watching = startCommand(['build', 'watch', id], { environment });
  await waitFor(() => watching.stdout.includes('                Its time has not come'), { what: 'why it waits' });
  watching.signal('SIGINT');
  await watching.ended;

  const queue = startCommand(['queue', '--watch', '--json'], { environment });
  const frames = () =>
    queue.stdout
      .trim()
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as { scheduled: number });
  await waitFor(() => frames().length > 0, { what: 'the queue as it is' });
  await startLater();
  await waitFor(() => frames().at(-1)?.scheduled === all.scheduled + 1, { what: 'the queue after a change' });
  queue.signal('SIGINT');
  expect(await queue.ended).toMatchObject({ exitCode: 0, stderr: '' });
});

test('Ctrl-C ends the watching and not the build, and says how to go on', async () => {
  const id = await startLater();
  const watching = startCommand(['build', 'watch', id], { environment });
  await waitFor(() => watching.stdout.includes('queued'), { what: 'the first event' });
  watching.signal('SIGINT');
  const { exitCode, stderr } = await watching.ended;
  expect(exitCode).toBe(2);
  expect(stderr).toBe(`The build goes on. To go on watching: slipway build watch ${id} --after 1\n`);
  expect(await json('build', 'show', id)).toMatchObject({ status: 'PENDING' });
});

test('a token that is missing, wrong or not enough is exit code 4', async () => {
  const { SLIPWAY_URL = '' } = environment;
  const missing = await runCommand(['build', 'list'], { environment: { SLIPWAY_URL, SLIPWAY_DATA: '/nowhere' } });
  expect(missing).toMatchObject({ exitCode: 4, stdout: '' });
  expect(missing.stderr).toContain('SLIPWAY_TOKEN');
  expect(await slipway('build', 'list', '--token', 'wrong')).toMatchObject({ exitCode: 4 });
  const reader = await api.makeToken(['builds:read']);
  expect(await slipway('project', 'create', 'No', '--token', reader)).toMatchObject({ exitCode: 4 });
  expect(await slipway('build', 'list', '--token', reader)).toMatchObject({ exitCode: 0 });
});

test('the token in the data folder is used, and only for a server on this machine', async () => {
  await writeFile(join(stack.dataFolder, 'token'), `${api.token}\n`);
  const { SLIPWAY_TOKEN: _, ...withoutToken } = environment;
  expect(await runCommand(['build', 'list'], { environment: withoutToken })).toMatchObject({ exitCode: 0 });
  // 0.0.0.0 reaches this machine, and does not say so.
  const elsewhere = { ...withoutToken, SLIPWAY_URL: `http://0.0.0.0:${api.port}/graphql` };
  expect(await runCommand(['build', 'list'], { environment: elsewhere })).toMatchObject({ exitCode: 4 });
});

test('a server that is not there and a bad configuration are one line and exit code 1', async () => {
  const gone = await slipway('build', 'list', '--url', 'http://127.0.0.1:1/graphql');
  expect(gone).toMatchObject({ exitCode: 1, stdout: '' });
  expect(gone.stderr).toContain('npm start');
  const bad = await slipway('build', 'list', '--url', 'nonsense');
  expect(bad.exitCode).toBe(1);
  expect(bad.stderr).toMatch(/^error: The configuration is not valid\.\nSLIPWAY_URL: /);
});

test('the prompt comes from an argument, a file or stdin, and from exactly one of them', async () => {
  const file = join(stack.dataFolder, 'prompt.md');
  await writeFile(file, 'From a file.');
  const later = ['build', 'start', '-p', 'boats', '--run-after', '2099-01-01', '--json'];
  const promptOf = async (args: readonly string[], stdin = '') => {
    const { stdout } = await runCommand([...later, ...args], { environment, stdin });
    const { id } = JSON.parse(stdout) as { id: string };
    return (await json<{ spec: { prompt: string } }>('build', 'show', id)).spec.prompt;
  };
  expect(await promptOf(['From an argument.'])).toBe('From an argument.');
  expect(await promptOf(['--prompt-file', file])).toBe('From a file.');
  expect(await promptOf(['-'], 'From stdin.')).toBe('From stdin.');
  for (const args of [[], ['both', '--prompt-file', file], ['--prompt-file', '/nowhere/prompt']]) {
    expect((await runCommand([...later, ...args], { environment })).exitCode).toBe(1);
  }
  const tooLarge = await runCommand([...later, '-'], { environment, stdin: 'x'.repeat(1024 * 1024 + 1) });
  expect(JSON.parse(tooLarge.stderr)).toMatchObject({ error: { code: 'INVALID_INPUT' } });
});

test('every flag of a start reaches the build', async () => {
  const { id } = await json<{ id: string }>(
    ...startOf('Do it.', '--provider', 'scripted', '--model', 'm1', '--branch', 'feature', '--priority', '7'),
    ...['--label', 'a=1', '--label', 'b=x=y', '--no-commit', '--no-push', '--run-after', '2099-01-01T00:00:00Z'],
    ...['--wall-seconds', '60', '--silence-seconds', '30', '--max-turns', '5', '--max-cost', '0.5'],
    ...['--callback-url', 'http://127.0.0.1:9/x', '--idempotency-key', 'once', '--template', 'static-site'],
    ...['--var', 'title=Boats', '--ask-questions', '--ask-approval', '--wait-seconds', '90'],
    ...['--default-answer', 'Choose.', '--default-decision', 'APPROVE'],
  );
  const build = await json<{ spec: object }>('build', 'show', id);
  expect(build).toMatchObject({ priority: 7, idempotencyKey: 'once' });
  expect(build.spec).toMatchObject({
    provider: 'scripted',
    model: 'm1',
    branch: 'feature',
    labels: [
      { key: 'a', value: '1' },
      { key: 'b', value: 'x=y' },
    ],
    variables: expect.arrayContaining([{ name: 'title', value: 'Boats' }]),
    autoCommit: false,
    autoPush: false,
    callbackUrl: 'http://127.0.0.1:9/x',
    runAfter: '2099-01-01T00:00:00.000Z',
    limits: { wallSeconds: 60, silenceSeconds: 30, maxTurns: 5, maxCostUsd: 0.5 },
    interaction: {
      ...{ questions: true, approvals: true, waitSeconds: 90 },
      ...{ defaultAnswer: 'Choose.', defaultDecision: 'APPROVE' },
    },
  });
});

test('the same idempotency key gives the same build', async () => {
  const start = () => slipway(...startOf('Once.', '--idempotency-key', 'k1'));
  const first = await start();
  expect(first).toMatchObject({ exitCode: 0, stderr: '' });
  const second = await start();
  expect(second).toMatchObject({ exitCode: 0, stdout: first.stdout });
  expect(second.stderr).toContain('was used before');
});

test('the log is printed to its present end, or followed to the end of the build', async () => {
  const prompt = script({ print: 'one' }, { print: '\u001b[31mtwo\u001b[0m\u0007' }, { wait: 0.3 }, { print: 'three' });
  const { stdout: started } = await slipway(...startOf(prompt, '--no-commit'));
  const id = started.trim();
  const followed = await slipway('build', 'logs', id, '--follow');
  expect(followed.exitCode).toBe(0);
  expect(followed.stdout).toContain('three');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it is about
  expect(followed.stdout).not.toMatch(/[\u001b\u0007]/);
  const printed = await slipway('build', 'logs', id);
  expect(printed.stdout).toBe(followed.stdout);
  const { stdout } = await slipway('build', 'logs', id, '--json', '--after', '2');
  const numbers = stdout
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { number: number }).number);
  expect(numbers[0]).toBe(3);
  const waiting = await startLater();
  expect(await slipway('build', 'logs', waiting)).toMatchObject({ exitCode: 0, stdout: '' });
});

test('a build is retried as a new one', async () => {
  const { stdout } = await slipway(...startOf(script({ fail: 'no' })));
  const id = stdout.trim();
  expect((await slipway('build', 'watch', id)).exitCode).toBe(3);
  const retried = await json<{ id: string }>('build', 'retry', id);
  expect(await json('build', 'show', retried.id)).toMatchObject({ retryOf: { id } });
});

test.each([
  ['build', 'show', `build_${'0'.repeat(32)}`],
  ['build', 'watch', `build_${'0'.repeat(32)}`],
  ['build', 'logs', 'boats#9999'],
  ['build', 'cancel', 'nowhere#1'],
  ['build', 'show', 'nonsense'],
  ['build', 'start', '-p', 'nowhere', 'x'],
])('%s %s %s: what is not there is exit code 1', async (...args) => {
  const { exitCode, stdout, stderr } = await slipway(...args);
  expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
  expect(stderr).toMatch(/^error: .+\n$/);
});

test('tokens are made, listed and revoked', async () => {
  const made = await json<{ id: string; token: string }>(
    ...['token', 'create', 'bot', '--scope', 'builds:read', '--project', 'boats', '--expires', '30d'],
  );
  expect(await slipway('build', 'list', '--token', made.token)).toMatchObject({ exitCode: 0 });
  const { stdout } = await slipway('token', 'list');
  expect(stdout).toMatch(new RegExp(`\nbot +builds:read +1 +.* until .* ${made.id}\n`));
  expect(await slipway('token', 'revoke', made.id)).toMatchObject({ exitCode: 0 });
  expect(await slipway('build', 'list', '--token', made.token)).toMatchObject({ exitCode: 4 });
  expect(await slipway('token', 'create', 'x', '--scope', 'everything')).toMatchObject({ exitCode: 1 });
  const idsOf = async (...flags: readonly string[]) =>
    (await json<{ id: string }[]>('token', 'list', ...flags)).map(({ id }) => id);
  expect(await idsOf()).not.toContain(made.id);
  expect(await idsOf('--include-revoked')).toContain(made.id);
});

test('a token is rotated: the new secret is printed once, and the earlier one works for the grace', async () => {
  const { id, token } = await json<{ id: string; token: string }>('token', 'create', 'ci', '--scope', 'builds:read');
  const works = async (secret: string) => (await slipway('build', 'list', '--token', secret)).exitCode === 0;
  const first = await slipway('token', 'rotate', id);
  expect(first).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^slipway_[0-9A-Za-z]{49}\n$/) });
  expect(first.stderr).toMatch(new RegExp(`^${id} \\(ci\\) has a new secret.*\nThe earlier one works until `));
  const second = await json<{ id: string; token: string }>('token', 'rotate', id, '--grace', '90m');
  expect(second).toMatchObject({ id, name: 'ci', rotatedAt: expect.any(String), previousUntil: expect.any(String) });
  expect([await works(token), await works(first.stdout.trim()), await works(second.token)]).toEqual([
    false,
    true,
    true,
  ]);
  const third = await slipway('token', 'rotate', id, '--grace', '0');
  expect(third.stderr).toContain('The earlier one no longer works');
  expect([await works(second.token), await works(third.stdout.trim())]).toEqual([false, true]);
  const tooLong = await slipway('token', 'rotate', id, '--grace', '8d');
  expect(tooLong).toMatchObject({ exitCode: 1, stdout: '' });
  expect(tooLong.stderr).toContain('input.graceSeconds: must be 0 to 604800 seconds');
});

test('who did what is listed', async () => {
  const { id } = await json<{ id: string }>('project', 'create', 'Audited', '--slug', 'audited');
  const { stdout } = await slipway('audit', 'list', '--project', 'audited');
  expect(stdout).toMatch(new RegExp(`^WHEN +WHO .*\n.* test +createProject +audited +${id} +-\n$`));
  const entries = await json('audit', 'list', '--subject', id, '--action', 'createProject', '--from', '2020-01-01');
  expect(entries).toMatchObject([
    { actorName: 'test', subjectType: 'project', subjectId: id, project: { slug: 'audited' } },
  ]);
  const none = await slipway('audit', 'list', '--subject', id, '--to', '2020-01-01');
  expect(none).toMatchObject({ exitCode: 0, stdout: '', stderr: 'There are no such entries.\n' });
  const reader = await api.makeToken(['builds:read']);
  expect(await slipway('audit', 'list', '--token', reader)).toMatchObject({ exitCode: 4 });
});

test('the first token of a cluster is made straight in the database', async () => {
  const cluster = { SLIPWAY_DATABASE_URL: stack.databaseUrl, SLIPWAY_LOG_LEVEL: 'silent' };
  const args = ['token', 'create', 'root', '--scope', 'admin', '--database'];
  const { exitCode, stdout } = await runCommand(args, { environment: cluster });
  expect(exitCode).toBe(0);
  expect(await slipway('token', 'list', '--token', stdout.trim())).toMatchObject({ exitCode: 0 });
  const [entry] = await json<unknown[]>('audit', 'list', '--actor', 'slipway token create');
  expect(entry).toMatchObject({
    action: 'createApiToken',
    actorName: null,
    detail: { name: 'root', scopes: ['admin'] },
  });
  expect(await runCommand(args, {})).toMatchObject({ exitCode: 1 });
});
