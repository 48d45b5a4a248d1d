/** A worker that stood still for longer than its lease, and whose pod has been opened by a later attempt. */
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findBuild } from '../../src/builds/build.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { SupersededError } from '../../src/errors.ts';
import type { Runtime } from '../../src/runtimes/runtime.ts';
import { Worker } from '../../src/workers/worker.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';
import { waitFor } from '../support/wait-for.ts';

let stack: TestStack;

beforeEach(async () => {
  stack = await openTestStack();
});
afterEach(() => stack[Symbol.asyncDispose]());

const refuse = async () => {
  throw new SupersededError('Attempt 1 has been superseded: attempt 2 has the workspace.');
};

test.each<[string, (runtime: Runtime) => Partial<Runtime>]>([
  ['is opened', () => ({ open: refuse })],
  [
    'is used',
    (runtime) => ({
      open: async (buildId, needs) => ({ ...(await runtime.open(buildId, needs)), start: refuse }),
    }),
  ],
])('ends without a word, and writes nothing, when its workspace %s', async (_what, change) => {
  const { orchestrator } = stack;
  const said: string[] = [];
  const logger = pino({ level: 'warn' }, { write: (line: string) => void said.push(line) });
  const runtime = { ...orchestrator.runtime, ...change(orchestrator.runtime) };
  await using worker = new Worker({ ...orchestrator, logger, runtime }, { name: 'late', capacity: 1 });
  await worker.open();
  const { id: projectId } = await stack.createProject();
  const { build } = await startBuild(orchestrator, { projectId, spec: { prompt: script({ print: 'x' }) } }, 'test');
  await waitFor(async () => (await findBuild(orchestrator.db, build.id))?.status === 'RUNNING', { what: 'the claim' });
  await waitFor(() => worker.running === 0, { what: 'the end of the attempt' });
  // The later attempt says how it ends.
  expect(await findBuild(orchestrator.db, build.id)).toMatchObject({ status: 'RUNNING', attemptNo: 1, failure: null });
  expect(said).toEqual([]);
});
