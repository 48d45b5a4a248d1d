import { afterAll, beforeAll, expect, test } from 'vitest';
import { startBuild } from '../../src/builds/start-build.ts';
import { updateProject } from '../../src/projects/change-project.ts';
import { createProject } from '../../src/projects/create-project.ts';
import type { Project } from '../../src/projects/project.ts';
import { type GitServer, startGitServer } from '../support/git-server.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';

// In two parts, so that no scanner takes this file for a leak.
const TOKEN = `ghp_${'a1B2'.repeat(9)}`;
const PASSWORD = 'hunter2-hunter2';

let stack: TestStack;
let server: GitServer;

beforeAll(async () => {
  stack = await openTestStack();
  server = await startGitServer({ password: PASSWORD });
  await stack.openWorker(2);
});
afterAll(async () => {
  await stack[Symbol.asyncDispose]();
  await server.close();
});

async function run(project: Project, prompt: string) {
  const { build } = await startBuild(stack.orchestrator, { projectId: project.id, spec: { prompt } }, 'test');
  return stack.finished(build.id);
}

const write = (path: string, content: string) => script({ write: { path, content } });

test('a secret in the changes ends the build before a commit, until the project allows its file', async () => {
  const project = await stack.createProject();
  const prompt = write('test/fixtures/token.txt', `# a token\n${TOKEN}\n`);
  const refused = await run(project, prompt);
  expect(refused).toMatchObject({ status: 'FAILED', pushIntentSha: null });
  expect(refused.failure).toMatchObject({
    reason: 'SECRET_DETECTED',
    retryable: false,
    message: expect.stringContaining('test/fixtures/token.txt:2 (GITHUB_TOKEN)'),
    remedy: expect.stringContaining('secretScan.allowPaths'),
  });
  expect(refused.result?.commitSha).toBeNull();
  expect(JSON.stringify(refused.result)).not.toContain(TOKEN);
  const change = (secretScan: { enabled?: boolean; allowPaths?: string[] }) =>
    updateProject(stack.orchestrator, { id: project.id, changes: { settings: { secretScan } } }, 'test');
  await change({ allowPaths: ['test/fixtures/**'] });
  expect(await run(project, prompt)).toMatchObject({ status: 'COMPLETED' });
  const elsewhere = write('src/token.txt', `${TOKEN}\n`);
  expect((await run(project, elsewhere)).failure).toMatchObject({ reason: 'SECRET_DETECTED' });
  expect((await change({ enabled: false })).settings.secretScan).toEqual({
    enabled: false,
    allowPaths: ['test/fixtures/**'],
  });
  expect(await run(project, elsewhere)).toMatchObject({ status: 'COMPLETED' });
}, 60_000);

test('the password of the repository is found though the project has switched the rules off', async () => {
  const repository = await server.createRepository('app');
  const project = await createProject(
    stack.orchestrator,
    {
      name: 'With a password',
      repositoryUrl: repository.url,
      gitCredentials: { username: 'bot', password: PASSWORD },
      settings: { secretScan: { enabled: false } },
    },
    'test',
  );
  const encoded = Buffer.from(`bot:${PASSWORD}`).toString('base64');
  const build = await run(project, write('.netrc.txt', `authorization: Basic ${encoded}\n`));
  expect(build.failure).toMatchObject({
    reason: 'SECRET_DETECTED',
    message: expect.stringContaining('.netrc.txt:1 (REGISTERED_SECRET)'),
  });
  const clean = await run(project, `Say ${PASSWORD} to nobody\n${write('a.txt', 'x')}`);
  expect(clean).toMatchObject({ status: 'COMPLETED', result: { publication: 'PUSHED' } });
}, 60_000);
