/** Builds that go on with the agent's session of an earlier one. */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startBuild } from '../../src/builds/start-build.ts';
import { readEvents } from '../../src/events/read-events.ts';
import { type FakeModel, openFakeModel } from '../support/fake-model/fake-model.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { findAgent } from '../support/real-agents.ts';

const found = await findAgent('claude-code');

/** Claude Code shows its model the last commits, and their subjects are first lines of prompts. */
const FIRST = 'Begin.\n\nThe number is 4711. [[script:hello]]';
const SECOND = 'Once more.\n\nThe letter is Q. [[script:again]]';

let model: FakeModel;
let stack: TestStack;

describe.skipIf('missing' in found)('with the real Claude Code', () => {
  beforeAll(async () => {
    model = await openFakeModel();
    stack = await openTestStack({
      SLIPWAY_DEFAULT_PROVIDER: 'claude-code',
      SLIPWAY_CLAUDE_PATH: 'program' in found ? found.program : '',
      ANTHROPIC_API_KEY: 'test-key',
      ANTHROPIC_BASE_URL: model.url,
    });
    await stack.openWorker();
  });
  afterAll(async () => {
    await stack[Symbol.asyncDispose]();
    await model[Symbol.asyncDispose]();
  });

  async function run(projectId: string, prompt: string, resumeFrom: string | null = null) {
    const { build } = await startBuild(stack.orchestrator, { projectId, spec: { prompt }, resumeFrom }, 'test');
    const { failure, result } = await stack.finished(build.id, 60_000);
    expect(failure).toBeNull();
    const events = await readEvents(stack.orchestrator.db, { buildId: build.id, after: 0, limit: 200 });
    const warnings = events.flatMap((event) => (event.type === 'WARNING' ? [event.data.message] : []));
    return { id: build.id, result, warnings };
  }

  test('a follow-up knows what was said before and works on what was pushed; so does the next one', async () => {
    const { id: projectId } = await stack.createProject();
    const first = await run(projectId, FIRST);
    const asked = model.prompts.length;
    const second = await run(projectId, SECOND, first.id);
    expect(second.warnings).toEqual([]);
    expect(model.prompts.slice(asked).join('\n')).toContain('The number is 4711.');
    expect(second.result).toMatchObject({ sessionId: first.result?.sessionId, publication: 'PUSHED' });
    expect(second.result?.filesChanged).toMatchObject([{ path: 'hello.txt', status: 'MODIFIED' }]);
    const askedAgain = model.prompts.length;
    const third = await run(projectId, 'And now?\n\n[[script:again]]', second.id);
    expect(third.warnings).toEqual([]);
    expect(model.prompts.slice(askedAgain).join('\n')).toContain('The letter is Q.');
  });

  test('where the session is not, the agent begins anew, and a warning says so', async () => {
    const { id: projectId } = await stack.createProject();
    const first = await run(projectId, FIRST);
    const home = join(stack.dataFolder, 'builds', first.id, 'home');
    expect(await readdir(home)).not.toEqual([]);
    // As on another machine.
    await rm(home, { recursive: true });
    const asked = model.prompts.length;
    const second = await run(projectId, SECOND, first.id);
    expect(second.warnings).toEqual([
      'The session of the earlier build is no longer on this worker: the agent begins anew.',
    ]);
    expect(model.prompts.slice(asked).join('\n')).not.toContain('4711');
    expect(second.result?.sessionId).not.toBe(first.result?.sessionId);
  });

  test('a session that the agent does not know any more is given up, and the build works on the same branch', async () => {
    const { id: projectId } = await stack.createProject();
    const first = await run(projectId, FIRST);
    await rm(join(stack.dataFolder, 'builds', first.id, 'home/.claude/projects'), { recursive: true });
    const second = await run(projectId, SECOND, first.id);
    expect(second.warnings).toEqual([
      'The agent does not know the session of the earlier build any more: it begins anew, without it.',
    ]);
    expect(second.result).toMatchObject({ publication: 'PUSHED', usage: { inputTokens: 2000 } });
    expect(second.result?.filesChanged).toMatchObject([{ path: 'hello.txt', status: 'MODIFIED' }]);
    expect(second.result?.sessionId).not.toBe(first.result?.sessionId);
    const asked = model.prompts.length;
    const third = await run(projectId, 'And now?\n\n[[script:again]]', second.id);
    expect(third).toMatchObject({ warnings: [], result: { sessionId: second.result?.sessionId } });
    expect(model.prompts.slice(asked).join('\n')).toContain('The letter is Q.');
  });
});
