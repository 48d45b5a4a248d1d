/** A runtime that cannot say how much an agent has printed: its pod is starting, away or gone. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startBuild } from '../../src/builds/start-build.ts';
import type { Runtime } from '../../src/runtimes/runtime.ts';
import { Worker } from '../../src/workers/worker.ts';
import { openTestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';
import { waitFor } from '../support/wait-for.ts';

test('costs neither the build nor the worker', async () => {
  await using stack = await openTestStack();
  const { orchestrator } = stack;
  const local = orchestrator.runtime;
  let asked = 0;
  const runtime: Runtime = {
    ...local,
    async open(buildId, needs) {
      const workspace = await local.open(buildId, needs);
      return {
        ...workspace,
        start: async (command) => ({
          ...(await workspace.start(command)),
          outputBytes: () => {
            asked += 1;
            return Promise.reject(new Error('The pod does not answer.'));
          },
        }),
      };
    },
  };
  await using worker = new Worker({ ...orchestrator, runtime }, { name: 'test', capacity: 1 });
  await worker.open();
  const project = await stack.createProject();
  const gate = join(stack.dataFolder, 'asked');
  const spec = { prompt: script({ run: `until [ -e ${gate} ]; do sleep 0.05; done; touch made` }) };
  const { build } = await startBuild(orchestrator, { projectId: project.id, spec }, 'test');
  // Again after the first failure: whoever asks has not given up.
  await waitFor(() => asked > 1, { what: 'the second question' });
  await writeFile(gate, '');
  expect(await stack.finished(build.id)).toMatchObject({ status: 'COMPLETED', attemptNo: 1 });
});
