import { afterAll, beforeAll, expect, test } from 'vitest';
import { readCredential } from '../../src/credentials/credential.ts';
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
  const stored = () => readCredential(stack.orchestrator, { projectId: project.id, name: 'git' });
  const moveTo = (repositoryUrl: string) =>
    updateProject(stack.orchestrator, { id: project.id, changes: { repositoryUrl } }, 'test');
  await moveTo('https://one.example/b.git');
  expect(await stored()).toContain('a long password');
  await moveTo('https://two.example/b.git');
  expect(await stored()).toBeNull();
});

test('one limit is changed, the others stay', async () => {
  const project = await stack.createProject({ settings: { limits: { maxCostUsd: 2, maxTurns: 10 } } });
  const changes = { settings: { limits: { wallSeconds: 60 } } };
  const changed = await updateProject(stack.orchestrator, { id: project.id, changes }, 'test');
  expect(changed.settings.limits).toEqual({ maxCostUsd: 2, maxTurns: 10, wallSeconds: 60 });
});
