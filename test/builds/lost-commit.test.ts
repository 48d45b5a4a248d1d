/** A commit whose push was intended, and that only a machine has which is gone. */
import { expect, test } from 'vitest';
import { Ledger } from '../../src/builds/ledger.ts';
import { rescueBuilds } from '../../src/builds/rescue-builds.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { claimByHand, registerByHand } from '../support/claim.ts';
import { openTestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';

test('the build fails and says so; the agent is not run again', async () => {
  await using stack = await openTestStack();
  const { orchestrator } = stack;
  const project = await stack.createProject();
  const prompt = script({ write: { path: 'a', content: 'a' } });
  const { build } = await startBuild(orchestrator, { projectId: project.id, spec: { prompt } }, 'test');
  const elsewhere = await registerByHand(stack, '/another/machine');
  const claimed = await claimByHand(stack, elsewhere);
  const sha = 'c'.repeat(40);
  const intent = { sha, branch: 'main', expected: null, filesChanged: [] };
  expect(await new Ledger(orchestrator, claimed).recordPushIntent(intent, [])).toBe(true);
  await rescueBuilds(orchestrator, { workers: [elsewhere] });
  await stack.openWorker();
  const ended = await stack.finished(build.id);
  expect(ended).toMatchObject({
    attemptNo: 2,
    failure: { reason: 'GIT_PUSH_FAILED', message: expect.stringContaining(`The commit ${sha} had not arrived`) },
  });
});
