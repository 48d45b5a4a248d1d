import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readCredentials } from '../../src/credentials/read-credentials.ts';
import { openTestApi, type TestApi } from '../support/api.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { runCommand } from './run-command.ts';

const SECRET = 'a-secret-of-the-shell';
let stack: TestStack;
let api: TestApi;
let environment: Record<string, string>;
let projectId: string;

beforeAll(async () => {
  stack = await openTestStack();
  api = await openTestApi(stack);
  environment = { SLIPWAY_URL: api.url, SLIPWAY_TOKEN: api.token, SLIPWAY_DATA: stack.dataFolder };
  projectId = (await stack.createProject({ slug: 'boats' })).id;
});
afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await stack[Symbol.asyncDispose]();
});

const slipway = (args: readonly string[], stdin = '') =>
  runCommand(['credential', ...args], { environment: { ...environment, SECRET }, stdin });

async function secretOf(name: string): Promise<string | undefined> {
  const { opened } = await readCredentials(stack.orchestrator, { projectId });
  return opened.find((one) => one.name === name)?.value;
}

test('a secret comes from stdin, a file or a variable; it is listed without its value, and deleted', async () => {
  const git = ['set', 'host', '-p', 'boats', '--git', 'https://git.example', '--username', 'bot'];
  const set = await slipway(git, `${SECRET}\n`);
  expect(set).toMatchObject({ exitCode: 0, stdout: '' });
  expect(set.stderr).toMatch(/^host is kept, sealed with the master key [0-9a-f]{8}\.\n$/);
  expect(await secretOf('host')).toBe(JSON.stringify({ username: 'bot', password: SECRET }));
  const file = join(stack.dataFolder, 'secret.txt');
  await writeFile(file, SECRET);
  await slipway(['set', 'npm', '-p', 'boats', '--registry', 'https://npm.example', '--value-file', file]);
  expect(await secretOf('npm')).toBe(SECRET);
  await slipway(['set', 'fly', '-p', 'boats', '--deploy', 'staging', '--variable', 'FLY_TOKEN', '--value-file', file]);
  expect(await secretOf('fly')).toBe(JSON.stringify({ cluster: null, variables: { FLY_TOKEN: SECRET } }));
  await slipway(['set', 'model', '--global', '--model-key', 'ANTHROPIC_API_KEY', '--value-env', 'SECRET']);
  expect(await secretOf('model')).toBe(SECRET);

  const listed = await slipway(['list', '-p', 'boats', '--json']);
  expect(JSON.parse(listed.stdout)).toMatchObject([
    { name: 'fly', kind: 'DEPLOY', target: 'staging' },
    { name: 'host', kind: 'GIT', target: 'https://git.example' },
    { name: 'npm', kind: 'REGISTRY' },
  ]);
  const table = await slipway(['list']);
  expect(table.stdout).toMatch(/^NAME +KIND .*\nmodel +MODEL_API_KEY +ANTHROPIC_API_KEY .* never /);
  for (const { stdout, stderr } of [set, listed, table]) expect(stdout + stderr).not.toContain(SECRET);
  expect(await slipway(['delete', 'model', '--global'])).toMatchObject({ exitCode: 0, stdout: 'model is deleted.\n' });
  expect(await secretOf('model')).toBeUndefined();
});

test('a signing secret is made on request, and shown once', async () => {
  const { stdout } = await slipway(['set', 'signing', '-p', 'boats', '--callback-signing', '--generate', '--json']);
  const { secret, previousUntil } = JSON.parse(stdout);
  expect(previousUntil).toEqual(expect.any(String));
  expect(await secretOf('signing')).toBe(secret);
});

test.each([
  ['no scope', ['set', 'x', '--registry', 'https://npm.example'], /--project <project>, or --global/],
  ['both scopes', ['delete', 'x', '--global', '-p', 'boats'], /--project <project>, or --global/],
  ['no kind', ['set', 'x', '--global'], /one of --git/],
  [
    'a variable of nothing',
    ['set', 'x', '--global', '--git', 'https://git.example', '--variable', 'X'],
    /--variable is for --deploy/,
  ],
  ['no user', ['set', 'x', '--global', '--git', 'https://git.example'], /--username/],
  ['nothing on stdin', ['set', 'x', '--global', '--registry', 'https://npm.example'], /no secret in stdin/],
  [
    'no variable',
    ['set', 'x', '--global', '--registry', 'https://npm.example', '--value-env', 'NONE'],
    /NONE is not set/,
  ],
  [
    'a file that is not there',
    ['set', 'x', '--global', '--registry', 'https://npm.example', '--value-file', '/none'],
    /ENOENT/,
  ],
  [
    'what the API refuses',
    ['set', 'x', '--global', '--model-key', 'LD_PRELOAD', '--value-env', 'SECRET'],
    /ANTHROPIC_API_KEY/,
  ],
  ['what is not there', ['delete', 'x', '--global'], /no credential x/],
])('%s is said', async (_what, args, message) => {
  const { exitCode, stderr } = await slipway(args);
  expect(exitCode).toBe(1);
  expect(stderr).toMatch(message);
  expect(stderr).not.toContain(SECRET);
});

test('a process with another master key is refused in one line, and doctor tells it', async () => {
  const other = {
    SLIPWAY_DATABASE_URL: stack.databaseUrl,
    SLIPWAY_DATA: join(stack.dataFolder, 'other'),
    SLIPWAY_PORT: '0',
  };
  const refused = await runCommand(['work', '--json'], { environment: other });
  expect(refused.exitCode).toBe(1);
  expect(JSON.parse(refused.stderr.trim().split('\n').at(-1) ?? '')).toMatchObject({
    error: { code: 'WRONG_MASTER_KEY', hints: [expect.stringContaining('SLIPWAY_MASTER_KEY'), expect.anything()] },
  });
  const doctor = async (given: Record<string, string>) => {
    const { stdout } = await runCommand(['doctor', '--json'], { environment: given });
    return JSON.parse(stdout).findings.find(({ name }: { name: string }) => name === 'master key');
  };
  expect(await doctor(other)).toMatchObject({ level: 'fail', message: expect.stringContaining('sealed with') });
  expect(await doctor({ ...other, SLIPWAY_DATA: stack.dataFolder })).toMatchObject({ level: 'ok' });
});
