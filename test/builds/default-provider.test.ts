import { expect, test } from 'vitest';
import { startBuild } from '../../src/builds/start-build.ts';
import { ConfigError } from '../../src/config/config.ts';
import { openTestStack } from '../support/orchestrator.ts';

test('the first agent that is known is the default, where the configuration names none', async () => {
  // An empty variable is one that is not set.
  await using stack = await openTestStack({ SLIPWAY_DEFAULT_PROVIDER: '' });
  const { id: projectId } = await stack.createProject();
  const { build } = await startBuild(stack.orchestrator, { projectId, spec: { prompt: 'x' } }, 'test');
  expect(build.provider).toBe([...stack.orchestrator.agents.keys()][0]);
});

test('a default that is not known keeps Slipway from starting, and says what there is', async () => {
  const opening = openTestStack({ SLIPWAY_DEFAULT_PROVIDER: 'nobody' });
  await expect(opening).rejects.toThrow(ConfigError);
  await expect(opening).rejects.toThrow(/SLIPWAY_DEFAULT_PROVIDER: There is no provider nobody\. Known: .*scripted/);
});
