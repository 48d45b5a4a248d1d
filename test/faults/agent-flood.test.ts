/** An agent on this machine that floods: what it costs the worker that reads it. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startBuild } from '../../src/builds/start-build.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';
import { peakMemoryDuring } from '../support/worker-memory.ts';
import { startWorkerProcess } from '../support/worker-process.ts';

const SMALL_MB = 30;
const OUTPUT_MB = 300;
const MAX_GROWTH_MB = 64;
const LINE = 'x'.repeat(199);
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
  const ends: string[] = [];
  const flood = (megabytes: number, ...then: readonly object[]) =>
    peakMemoryDuring(worker, async () => {
      const prompt = script({ run: `yes ${LINE} | head -c ${megabytes * 1_000_000} >&2; echo $$ >done.txt` }, ...then);
      const { build } = await startBuild(stack.orchestrator, { projectId, spec: { prompt } }, 'test');
      const { failure, status } = await stack.finished(build.id, DEADLINE_MS);
      ends.push(failure?.reason ?? status);
    });
  // What V8 keeps for objects that live for a moment is the same for any flood, once it has seen one.
  await flood(SMALL_MB);
  const small = await flood(SMALL_MB);
  const large = await flood(OUTPUT_MB, { wait: 600 });
  const growth = Math.round(large - small);
  const peaks = `${SMALL_MB} MB: ${Math.round(small)} MB, ${OUTPUT_MB} MB: ${Math.round(large)} MB`;
  console.log(`a worker at its peak, by what an agent prints: ${peaks}; ${growth} MB more, of ${MAX_GROWTH_MB} MB`);
  expect(ends).toEqual(['COMPLETED', 'COMPLETED', 'OUTPUT_TOO_LARGE']);
  expect(growth).toBeLessThan(MAX_GROWTH_MB);
});
