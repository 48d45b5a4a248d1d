/** A later build goes on with the session of an earlier one: its home is copied to another checkout of the repository. */
import { existsSync } from 'node:fs';
import { cp, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type AgentBench, follow, runToEnd } from '../support/agent-runs.ts';
import { openCheckout } from '../support/checkouts.ts';
import { waitFor } from '../support/wait-for.ts';
import type { AgentSuite } from './agent-harness.ts';

const UUID = '11111111-2222-4333-8444-555555555555';
const READY = { what: 'the file ready', deadlineMs: 60_000 };

export function describeSessions({ harness, play, bench }: AgentSuite): void {
  const { prompt } = harness;

  async function successorOf(first: AgentBench): Promise<AgentBench> {
    const second = await bench();
    await openCheckout(second.workspace, first);
    await cp(first.workspace.paths.home, second.workspace.paths.home, { recursive: true });
    // Nothing may be looked for where it was.
    await rm(first.workspace.paths.root, { recursive: true });
    return second;
  }

  play('session resume in another workspace', async () => {
    const first = await bench();
    await openCheckout(first.workspace, first);
    const { outcome: earlier } = await runToEnd(harness.agent(), first.task({ prompt: prompt('hello') }));
    const second = await successorOf(first);
    const { sessionId: resumeSessionId, usage: resumedUsage } = earlier;
    const model = harness.model?.();
    const seen = model?.prompts.length;
    const task = second.task({ prompt: prompt('again'), resumeSessionId, resumedUsage });
    const { events, outcome } = await runToEnd(harness.agent(), task);
    expect(outcome).toMatchObject({ status: 'succeeded', reason: 'completed', sessionId: resumeSessionId });
    expect(events).not.toContainEqual(said('I will write the file.'));
    expect(events).toContainEqual(said('Appended.'));
    if (model) expect(model.prompts.slice(seen).join('\n')).toContain(prompt('hello'));
    expect(await readFile(join(second.workspace.paths.work, 'hello.txt'), 'utf8')).toBe('again\n');
    expect(existsSync(first.workspace.paths.root)).toBe(false);
    // What it cost is paid once: this build pays for its own two answers.
    if (outcome.usage?.inputTokens) expect(outcome.usage).toMatchObject({ inputTokens: 2000, outputTokens: 100 });
  });

  play('session resume after SIGKILL', async () => {
    const first = await bench();
    await openCheckout(first.workspace, first);
    const { run, ended } = await follow(harness.agent(), first.task({ prompt: prompt('hang') }));
    await waitFor(async () => (await readdir(first.workspace.paths.work)).includes('ready'), READY);
    await first.runtime.sweep(first.workspace.buildId);
    await ended;
    const { sessionId: resumeSessionId } = run.outcome();
    expect(resumeSessionId).toEqual(expect.stringMatching(/./));
    const second = await successorOf(first);
    const { outcome } = await runToEnd(harness.agent(), second.task({ prompt: prompt('again'), resumeSessionId }));
    expect(outcome).toMatchObject({ status: 'succeeded', reason: 'completed', sessionId: resumeSessionId });
    expect(await readFile(join(second.workspace.paths.work, 'hello.txt'), 'utf8')).toBe('again\n');
  });

  play('session that is not there', async () => {
    const { task } = await bench();
    const resumeSessionId = harness.unknownSession ?? UUID;
    const { outcome } = await runToEnd(harness.agent(), task({ prompt: prompt('again'), resumeSessionId }));
    expect(outcome).toMatchObject({ status: 'failed', reason: 'not_found', retryable: false });
  });
}

const said = (text: string) => ({ type: 'activity', content: { kind: 'message', text } });
