/** A worker that reaches only the API, in this process, on a network that is cut. What kills it: failpoint-cases.ts. */
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findArtifacts } from '../../src/artifacts/artifact.ts';
import type { Build } from '../../src/builds/build.ts';
import { readLog } from '../../src/builds/build-log.ts';
import { cancelBuild } from '../../src/builds/cancel-build.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { readEvents } from '../../src/events/read-events.ts';
import { startGitServer } from '../support/git-server.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { makeWorkToken, openFarWorker, openRemoteHarness } from '../support/remote.ts';
import { script } from '../support/script.ts';
import { waitFor } from '../support/wait-for.ts';

let stack: TestStack;
let harness: Awaited<ReturnType<typeof openRemoteHarness>>;

beforeEach(async () => {
  stack = await openTestStack();
  harness = await openRemoteHarness(stack);
});

afterEach(async () => {
  await harness[Symbol.asyncDispose]();
  await stack[Symbol.asyncDispose]();
});

const eventsOf = ({ id }: Pick<Build, 'id'>) =>
  readEvents(stack.orchestrator.db, { buildId: id, after: 0, limit: 5_000 });

async function start(repositoryUrl: string, prompt: string, settings = {}) {
  const project = await stack.createProject({ settings, repositoryUrl });
  const { build } = await startBuild(stack.orchestrator, { projectId: project.id, spec: { prompt } }, 'test');
  return { project, build };
}

test('runs a build to its commit, log and artifact over a network that is cut all the time', async () => {
  await using git = await startGitServer();
  const repository = await git.createRepository('far');
  await using remote = await openFarWorker(stack, { url: harness.url, token: await makeWorkToken(stack) });
  const lines = Array.from({ length: 30 }, (_, index) => `line ${index}`);
  const steps = [
    ...lines.map((print) => ({ print })),
    { run: 'head -c 3000000 /dev/zero | tr "\\0" x > big.bin; sleep 1.5' },
    { print: 'end' },
  ];
  const { build } = await start(repository.url, script(...steps), { artifacts: ['*.bin'] });
  await waitFor(async () => (await eventsOf(build)).length > 1, { deadlineMs: 20_000 });
  const cutting = setInterval(() => harness.proxy.cut(), 150);
  const ended = await stack.finished(build.id, 40_000).finally(() => clearInterval(cutting));
  expect(ended).toMatchObject({ status: 'COMPLETED', result: { publication: 'PUSHED' }, attemptNo: 1 });
  const events = await eventsOf(build);
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
  for (const type of ['STARTED', 'GIT_COMMITTED', 'GIT_PUSHED', 'ARTIFACT_CREATED', 'FINISHED'] as const) {
    expect(events.filter((event) => event.type === type).length, type).toBe(1);
  }
  const chunks = await readLog(stack.orchestrator.db, { buildId: build.id, after: 0, limit: 1_000 });
  const log = chunks.flatMap((chunk) => chunk.lines.map(({ text }) => text)).join('\n');
  for (const line of lines) expect(log.split(`"${line}"`).length - 1, line).toBeLessThanOrEqual(1);
  const [artifact] = await findArtifacts(stack.orchestrator.db, [build.id]);
  expect(artifact).toMatchObject({ name: 'big.bin', sizeBytes: 3_000_000 });
  expect(artifact?.sha256).toBe(createHash('sha256').update('x'.repeat(3_000_000)).digest('hex'));
  expect(harness.proxy.opened).toBeGreaterThan(5);
  await waitFor(() => remote.worker.running === 0);
});

test('a cancel reaches it, and nothing of the build is left', async () => {
  await using git = await startGitServer();
  const repository = await git.createRepository('cancelled');
  await using remote = await openFarWorker(stack, { url: harness.url, token: await makeWorkToken(stack) });
  const { build } = await start(repository.url, script({ print: 'up' }, { run: 'sleep 60' }));
  await waitFor(async () => (await eventsOf(build)).some(({ type }) => type === 'AGENT_ACTIVITY'), {
    deadlineMs: 20_000,
  });
  const cancelledAt = performance.now();
  await cancelBuild(stack.orchestrator, { id: build.id, reason: 'enough' }, 'test');
  expect(await stack.finished(build.id)).toMatchObject({ status: 'CANCELLED', cancelReason: 'enough' });
  // By a hint: its next heartbeat may be four seconds away.
  expect(performance.now() - cancelledAt).toBeLessThan(15_000);
  await waitFor(() => remote.worker.running === 0);
});
