import { afterAll, beforeAll, expect, test } from 'vitest';
import { readCredentials } from '../../src/credentials/read-credentials.ts';
import { setCredential } from '../../src/credentials/set-credential.ts';
import { updateProject } from '../../src/projects/change-project.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';

let stack: TestStack;

beforeAll(async () => {
  stack = await openTestStack();
});

afterAll(async () => {
  await stack[Symbol.asyncDispose]();
});

test('stored credentials stay with their host', async () => {
  const gitCredentials = { username: 'u', password: 'a long password' };
  const project = await stack.createProject({ repositoryUrl: 'https://one.example/a.git', gitCredentials });
  const stored = async () =>
    (await readCredentials(stack.orchestrator, { projectId: project.id })).opened.map(({ name, target, value }) => [
      name,
      target,
      JSON.parse(value).password,
    ]);
  const moveTo = (repositoryUrl: string) =>
    updateProject(stack.orchestrator, { id: project.id, changes: { repositoryUrl } }, 'test');
  await moveTo('https://one.example/b.git');
  expect(await stored()).toEqual([['git', 'https://one.example', 'a long password']]);
  await moveTo('https://two.example/b.git');
  expect(await stored()).toEqual([]);
});

test('credentials that are given with the project take the place of those for the same host', async () => {
  const { orchestrator } = stack;
  const project = await stack.createProject({ repositoryUrl: 'https://one.example/a.git' });
  const git = { url: 'https://one.example', username: 'u', password: 'the first password' };
  const input = { projectId: project.id, name: 'mine', git };
  await orchestrator.db.transaction().execute((trx) => setCredential(trx, orchestrator, { input, actor: 'test' }));
  const changes = { gitCredentials: { username: 'u', password: 'the second password' } };
  await updateProject(orchestrator, { id: project.id, changes }, 'test');
  const { opened } = await readCredentials(orchestrator, { projectId: project.id });
  expect(opened).toMatchObject([{ name: 'git', value: expect.stringContaining('the second password') }]);
});

test('one limit is changed, the others stay', async () => {
  const project = await stack.createProject({ settings: { limits: { maxCostUsd: 2, maxTurns: 10 } } });
  const changes = { settings: { limits: { wallSeconds: 60 } } };
  const changed = await updateProject(stack.orchestrator, { id: project.id, changes }, 'test');
  expect(changed.settings.limits).toEqual({ maxCostUsd: 2, maxTurns: 10, wallSeconds: 60 });
});
