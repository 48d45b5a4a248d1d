/** An agent on this machine that floods: what it costs the worker that reads it. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startBuild } from '../../src/builds/start-build.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';
import { MAX_GROWTH_MB, measureFlood } from '../support/worker-memory.ts';
import { startWorkerProcess } from '../support/worker-process.ts';

const DEADLINE_MS = 120_000;

const opened = new AsyncDisposableStack();
let stack: TestStack;

beforeAll(async () => {
  stack = opened.use(await openTestStack());
});
afterAll(() => opened.disposeAsync());

test('an agent that prints 300 MB costs the worker less than 64 MB more than one that prints 30 MB', {
  timeout: 3 * DEADLINE_MS,
}, async () => {
  const worker = await startWorkerProcess(stack);
  opened.defer(() => void worker.kill('SIGKILL'));
  const { id: projectId } = await stack.createProject();
  const growth = await measureFlood(worker, async (steps) => {
    const { build } = await startBuild(stack.orchestrator, { projectId, spec: { prompt: script(...steps) } }, 'test');
    const { failure, status } = await stack.finished(build.id, DEADLINE_MS);
    return failure?.reason ?? status;
  });
  expect(growth).toBeLessThan(MAX_GROWTH_MB);
});
