/** What builds that go on with each other's session are billed for, by an agent that counts the whole session. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readSessionUsage } from '../../src/builds/session-usage.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { type FakeModel, openFakeModel } from '../support/fake-model/fake-model.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { findAgent } from '../support/real-agents.ts';

const found = await findAgent('codex');

let model: FakeModel;
let stack: TestStack;

describe.skipIf('missing' in found)('with the real Codex', () => {
  beforeAll(async () => {
    model = await openFakeModel();
    stack = await openTestStack({
      SLIPWAY_DEFAULT_PROVIDER: 'codex',
      SLIPWAY_CODEX_PATH: 'program' in found ? found.program : '',
      OPENAI_API_KEY: 'test-key',
      OPENAI_BASE_URL: `${model.url}/v1`,
    });
    await stack.openWorker();
  });
  afterAll(async () => {
    await stack[Symbol.asyncDispose]();
    await model[Symbol.asyncDispose]();
  });

  test('three builds of one session are billed for their own parts, and these add up', async () => {
    const project = await stack.createProject();
    const ids: string[] = [];
    for (const [script, inputTokens, outputTokens] of [
      ['hello', 3400, 120],
      ['again', 2000, 100],
      ['again', 2000, 100],
    ] as const) {
      const spec = { prompt: `[[script:${script}]]` };
      const input = { projectId: project.id, spec, resumeFrom: ids.at(-1) ?? null };
      const { build } = await startBuild(stack.orchestrator, input, 'test');
      const { failure, usage } = await stack.finished(build.id, 60_000);
      expect(failure).toBeNull();
      expect(usage).toMatchObject({ inputTokens, outputTokens, costUsd: null });
      ids.push(build.id);
    }
    const sum = await readSessionUsage(stack.orchestrator.db, ids[2] ?? '');
    expect(sum).toMatchObject({ inputTokens: 7400, outputTokens: 320, costUsd: null });
    expect(await readSessionUsage(stack.orchestrator.db, ids[0] ?? '')).toMatchObject({ inputTokens: 3400 });
  }, 120_000);
});
