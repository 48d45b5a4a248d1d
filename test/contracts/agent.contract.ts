/**
 * What every agent must do, over the local runtime and with its real program. Each test is a cell of the table that
 * `npm run agents` prints; what an agent cannot do, or does otherwise, stands with the reason in its harness.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { AgentEvent } from '../../src/agents/agent.ts';
import type { SpoolOffset } from '../../src/runtimes/runtime.ts';
import { follow, runToEnd } from '../support/agent-runs.ts';
import { waitFor } from '../support/wait-for.ts';
import { describeCases } from './agent-cases.ts';
import { describeGit } from './agent-git.ts';
import { type AgentHarness, type AgentSuite, openAgentSuite } from './agent-harness.ts';
import { describeLines } from './agent-lines.ts';
import { describeSessions } from './agent-sessions.ts';

const START: SpoolOffset = { stdout: 0, stderr: 0 };
/** Some agents take seconds to start. */
const READY = { what: 'the file ready', deadlineMs: 60_000 };

export function describeAgent(name: string, harness: AgentHarness): void {
  const suite = openAgentSuite(name, harness);
  describe(`agent contract: ${name}`, { timeout: 180_000 }, () => {
    test('it can be run here, under the name of its provider', async ({ task: { meta } }) => {
      expect(harness.agent().name).toBe(name);
      const probed = await harness.agent().probe();
      expect(probed).toMatchObject({ available: true, version: expect.stringMatching(/\d+\.\d+/) });
      if (probed.available) meta.agentVersion = probed.version;
    });

    describeWork(suite);
    describeCases(suite);
    describeStops(suite);
    describeReattachment(suite);
    describeSessions(suite);
    describeGit(suite);
    describeLines(suite);
  });
}

function describeWork({ harness, play, bench }: AgentSuite): void {
  const { agent, prompt } = harness;

  play('success', async () => {
    const { task, workspace } = await bench();
    const { events, lines, offsets, outcome, run } = await runToEnd(agent(), task({ prompt: prompt('hello') }));
    expect(run.reattached).toBe(false);
    expect(await readFile(join(workspace.paths.work, 'hello.txt'), 'utf8')).toBe('hello\n');
    expect(outcome).toMatchObject({ status: 'succeeded', reason: 'completed', retryable: false, message: null });
    expect(outcome.finalText).not.toBe('');
    expect(outcome.sessionId).toEqual(harness.namesItsSessions ? expect.stringMatching(/./) : task({}).sessionId);
    const types = events.map((event) => event.type);
    expect(types).toEqual(expect.arrayContaining(['started', 'activity', 'turn_finished']));
    expect(toolCalls(events)).toEqual(toolResults(events).map(({ callId }) => callId));
    expect(lines.length).toBeGreaterThan(0);
    expect(offsets.map(({ stdout }) => stdout)).toEqual(offsets.map(({ stdout }) => stdout).sort((a, b) => a - b));
  });

  play('nothing changed', async () => {
    const { task, workspace } = await bench();
    const { outcome } = await runToEnd(agent(), task({ prompt: prompt('nothing') }));
    expect(outcome).toMatchObject({ status: 'succeeded', reason: 'completed' });
    expect(await readdir(workspace.paths.work)).toEqual([]);
  });

  play('command fails', async () => {
    const { task } = await bench();
    const { events } = await runToEnd(agent(), task({ prompt: prompt('failing') }));
    expect(toolResults(events)).toMatchObject([{ status: 'failed', output: expect.stringContaining('3') }]);
  });

  play('crash', async () => {
    const { task } = await bench();
    const { outcome } = await runToEnd(agent(), task({ prompt: prompt('crash') }));
    expect(outcome).toMatchObject({ status: 'failed', reason: 'crash', retryable: true });
    expect(outcome.message).not.toBeNull();
  });
}

function describeStops({ harness, play, bench }: AgentSuite): void {
  const { agent, prompt } = harness;

  play('stubborn and setsid children', async () => {
    const { task, workspace, runtime } = await bench();
    const { run, ended } = await follow(agent(), task({ prompt: prompt('stubborn') }));
    await waitFor(() => fileExists(workspace.paths.work, 'ready'), READY);
    await Promise.all([run.stop('cancelled'), run.stop('wall_limit')]);
    expect(await runtime.sweep(workspace.buildId)).toBe(0);
    await ended;
    expect(run.outcome()).toMatchObject({ status: 'cancelled', reason: 'cancelled', retryable: false });
    await run.stop('cancelled');
  });

  play('stop after the end', async () => {
    const { task } = await bench();
    const { run, outcome } = await runToEnd(agent(), task({ prompt: prompt('nothing') }));
    await run.stop('cancelled');
    expect(run.outcome()).toEqual(outcome);
  });

  play('let go', async () => {
    const { task, workspace } = await bench();
    const { run, ended } = await follow(agent(), task({ prompt: prompt('wait') }));
    expect(() => run.outcome()).toThrow('before');
    await waitFor(() => fileExists(workspace.paths.work, 'ready'), READY);
    await run.stop('released');
    await ended;
    expect(run.outcome()).toMatchObject({ status: 'failed', reason: 'crash', retryable: true });
  });
}

/** A successor goes on in mid-run and again after the end: every event once, the same outcome. */
function describeReattachment({ harness, play, bench }: AgentSuite): void {
  const { agent } = harness;
  const prompt = harness.prompt('wait');

  play('re-attachment', async () => {
    const { task, workspace, successor } = await bench();
    const dying = new AbortController();
    const first = await follow(agent(), task({ prompt, detached: dying.signal }));
    await waitFor(() => fileExists(workspace.paths.work, 'ready'), READY);
    await waitFor(() => first.events.some(isToolCall), { what: 'the call of a tool' });
    dying.abort();
    await first.ended;
    expect(() => first.run.outcome()).toThrow('before');
    const published = first.offsets.at(-1);

    const goesOn = { workspace: await successor(), prompt, publishedUpTo: published ?? START };
    const second = await follow(agent(), task(goesOn));
    expect(second.run.reattached).toBe(true);
    await writeFile(join(workspace.paths.work, 'go'), '');
    await second.ended;
    const outcome = second.run.outcome();
    expect(outcome).toMatchObject({ status: 'succeeded', reason: 'completed' });

    const whole = await runToEnd(agent(), task({ workspace: await successor(), prompt }));
    expect([...first.events, ...second.events]).toEqual(whole.events);
    expect(whole.outcome).toEqual(outcome);

    const publishedUpTo = second.offsets.at(-1) ?? START;
    const third = await runToEnd(agent(), task({ workspace: await successor(), prompt, publishedUpTo }));
    expect(third.events).toEqual([]);
    expect(third.lines).toEqual([]);
    expect(third.outcome).toEqual(outcome);
  });
}

function isToolCall(event: AgentEvent): boolean {
  return event.type === 'activity' && event.content.kind === 'tool_call';
}

function toolCalls(events: readonly AgentEvent[]): string[] {
  return events.flatMap((event) =>
    event.type === 'activity' && event.content.kind === 'tool_call' ? [event.content.callId] : [],
  );
}

function toolResults(events: readonly AgentEvent[]) {
  return events.flatMap((event) =>
    event.type === 'activity' && event.content.kind === 'tool_result' ? [event.content] : [],
  );
}

async function fileExists(folder: string, name: string): Promise<boolean> {
  return (await readdir(folder)).includes(name);
}
