import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startBuild } from '../../src/builds/start-build.ts';
import { callbackBody } from '../../src/callbacks/callback.ts';
import type { DemoRun } from '../../src/cli/demo-build.ts';
import { checkCallback, checkCommit } from '../../src/cli/demo-checks.ts';
import { createClient } from '../../src/client/client.ts';
import { FindProjectDocument, ShowBuildDocument } from '../../src/client/generated.ts';
import { managedRepositoryPath } from '../../src/projects/repository.ts';
import { toPublicId } from '../../src/std/public-id.ts';
import { openTestApi, type TestApi } from '../support/api.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';

const SECRET = `whsec_${Buffer.from('a secret of thirty-two bytes, ok').toString('base64')}`;

let stack: TestStack;
let api: TestApi;
let run: DemoRun;
let repository: string;
let body: string;

beforeAll(async () => {
  stack = await openTestStack();
  api = await openTestApi(stack);
  await stack.openWorker();
  const { id: projectId } = await stack.createProject({ slug: 'demo' });
  const { build } = await startBuild(stack.orchestrator, { projectId, spec: { prompt: 'Go.' } }, 'test');
  const { result, ...finished } = await stack.finished(build.id);
  if (!result) throw new Error('no result');
  body = callbackBody({ ...finished, result });
  repository = managedRepositoryPath(stack.orchestrator.config, projectId);
  await using client = createClient(api);
  const shown = await client.request(ShowBuildDocument, { id: toPublicId('build', build.id) });
  const found = await client.request(FindProjectDocument, { slug: 'demo' });
  if (!shown.build || !found.project) throw new Error('not there');
  run = { project: found.project, callbackSecret: SECRET, build: shown.build, events: 1 };
});

afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await stack[Symbol.asyncDispose]();
});

function signed(text: string, secret = SECRET) {
  const at = new Date();
  const signature = new Webhook(secret).sign('msg_1', at, text);
  const headers = {
    'webhook-id': 'msg_1',
    'webhook-timestamp': String(Math.floor(at.getTime() / 1_000)),
    'webhook-signature': signature,
  };
  return { body: text, headers };
}

test('a true callback passes; a wrong signature or another result does not', () => {
  expect(checkCallback(signed(body), run)).toEqual({ deliveryId: 'msg_1', verified: true });
  const other = `whsec_${Buffer.from('another secret of 32 bytes, yes!').toString('base64')}`;
  expect(() => checkCallback(signed(body, other), run)).toThrow("The callback's signature is not valid");
  for (const [from, to] of [
    ['"success":true', '"success":false'],
    ['NOTES.md', 'OTHER.md'],
    [run.build.result?.commitSha ?? '', '0'.repeat(40)],
    ['"COMPLETED"', '"FAILED"'],
  ] as const) {
    expect(() => checkCallback(signed(body.replace(from, to)), run)).toThrow('The callback says');
  }
});

test('the commit passes as reported, and not under another sha or with other files', async () => {
  const { build } = run;
  const files = ['NOTES.md', 'demo/index.html'];
  expect(await checkCommit(repository, build)).toEqual({ sha: build.result?.commitSha, subject: 'Go.', files });
  if (!build.result) throw new Error('no result');
  const wrongSha = { ...build, result: { ...build.result, commitSha: '0'.repeat(40) } };
  await expect(checkCommit(repository, wrongSha)).rejects.toThrow('the build says 000000');
  const wrongFiles = { ...build, result: { ...build.result, filesChanged: [] } };
  await expect(checkCommit(repository, wrongFiles)).rejects.toThrow('The commit changes NOTES.md');
});
