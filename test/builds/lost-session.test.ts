/** A machine goes down with worker and agent: the next worker there goes on with the agent's session and its changes. */
import { once } from 'node:events';
import { access, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { startBuild } from '../../src/builds/start-build.ts';
import { readEvents } from '../../src/events/read-events.ts';
import { openFakeModel } from '../support/fake-model/fake-model.ts';
import { openTestStack } from '../support/orchestrator.ts';
import { findAgent } from '../support/real-agents.ts';
import { waitFor } from '../support/wait-for.ts';
import { startWorkerProcess } from '../support/worker-process.ts';

const found = await findAgent('claude-code');

describe.skipIf('missing' in found)('with the real Claude Code', () => {
  test('an agent that was killed together with its worker goes on with its session', async () => {
    await using model = await openFakeModel();
    const environment = {
      SLIPWAY_DEFAULT_PROVIDER: 'claude-code',
      SLIPWAY_CLAUDE_PATH: 'program' in found ? found.program : '',
      ANTHROPIC_API_KEY: 'test-key',
      ANTHROPIC_BASE_URL: model.url,
    };
    await using stack = await openTestStack(environment);
    const { db, runtime } = stack.orchestrator;
    const doomed = await startWorkerProcess(stack, environment);
    const project = await stack.createProject();
    const spec = { prompt: 'The number is 4711. [[script:wait]]' };
    const { build } = await startBuild(stack.orchestrator, { projectId: project.id, spec }, 'test');
    const workspace = await waitFor(async () => (await runtime.list()).some(({ buildId }) => buildId === build.id), {
      what: 'the workspace',
    }).then(() => runtime.open(build.id));
    const isThere = (path: string) =>
      access(path).then(
        () => true,
        () => false,
      );
    await waitFor(() => isThere(join(workspace.paths.work, 'ready')), { deadlineMs: 60_000, what: 'the agent' });
    doomed.kill('SIGKILL');
    await once(doomed, 'exit');
    await runtime.sweep(build.id);
    await writeFile(join(workspace.paths.work, 'go'), '');
    const asked = model.prompts.length;

    await stack.openWorker(1);
    const ended = await stack.finished(build.id, 60_000);
    expect(ended).toMatchObject({ status: 'COMPLETED', attemptNo: 2, result: { output: 'After.' } });
    const [first = ''] = model.prompts.slice(asked);
    expect(first.match(/The number is 4711\./g)).toHaveLength(2);
    expect(first).toContain('the machine was lost for a while. Your changes are still there');
    expect(ended.result?.filesChanged.map(({ path }) => path)).toEqual(['go', 'ready']);
    const page = { buildId: build.id, after: 0, limit: 100, types: ['AGENT_STARTED'] } as const;
    const sessions = (await readEvents(db, page)).map(({ data }) => (data as { sessionId: string }).sessionId);
    expect(new Set(sessions).size).toBe(1);
    expect(sessions.length).toBe(2);
  }, 120_000);
});
