/** What every agent must do, over the local runtime and with its real program. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Agent, AgentEvent } from '../../src/agents/agent.ts';
import type { SpoolOffset } from '../../src/runtimes/runtime.ts';
import { type AgentBench, follow, openBench, runToEnd } from '../support/agent-runs.ts';
import { waitFor } from '../support/wait-for.ts';

const START: SpoolOffset = { stdout: 0, stderr: 0 };
/** Some agents take seconds to start. */
const READY = { what: 'the file ready', deadlineMs: 60_000 };

export interface AgentHarness {
  agent(): Agent;
  /** It takes no id for a session from us. */
  readonly namesItsSessions?: boolean;
  /** It does not tell how a command ended. */
  readonly hidesExitCodes?: boolean;
  /** It has a sandbox of its own, which only ours can be in place of: `crash` is to reach the agent. */
  readonly sandboxed?: boolean;
  readonly prompts: {
    /** Writes `hello\n` to hello.txt. */
    readonly hello: string;
    readonly nothing: string;
    /** Runs a command that exits with 3. */
    readonly failing: string;
    /** Runs a command that kills the agent's own process. */
    readonly crash: string;
    /** Says something, touches `ready`, waits for the file `go`, says something else. */
    readonly wait: string;
    /** Runs `STUBBORN` of the fake model's scripts. */
    readonly stubborn: string;
  };
}

export function describeAgent(name: string, harness: AgentHarness): void {
  const { agent, prompts, namesItsSessions = false, hidesExitCodes = false, sandboxed = false } = harness;

  async function bench(): Promise<AgentBench> {
    const opened = await openBench({ sandboxed });
    onTestFinished(() => opened[Symbol.asyncDispose]());
    return opened;
  }

  describe(`agent contract: ${name}`, () => {
    test('it can be run here, under the name of its provider', async () => {
      expect(agent().name).toBe(name);
      expect(await agent().probe()).toMatchObject({ available: true, version: expect.stringMatching(/\d+\.\d+/) });
    });

    test('it changes the checkout and tells how it went', async () => {
      const { task, workspace } = await bench();
      const { events, lines, offsets, outcome, run } = await runToEnd(agent(), task({ prompt: prompts.hello }));
      expect(run.reattached).toBe(false);
      expect(await readFile(join(workspace.paths.work, 'hello.txt'), 'utf8')).toBe('hello\n');
      expect(outcome).toMatchObject({ status: 'succeeded', reason: 'completed', retryable: false, message: null });
      expect(outcome.finalText).not.toBe('');
      expect(outcome.sessionId).toEqual(namesItsSessions ? expect.stringMatching(/./) : task({}).sessionId);
      const types = events.map((event) => event.type);
      expect(types).toEqual(expect.arrayContaining(['started', 'activity', 'turn_finished']));
      expect(toolCalls(events)).toEqual(toolResults(events).map(({ callId }) => callId));
      expect(lines.length).toBeGreaterThan(0);
      expect(offsets.map(({ stdout }) => stdout)).toEqual(offsets.map(({ stdout }) => stdout).sort((a, b) => a - b));
    });

    test('nothing to do is a success that leaves the checkout as it was', async () => {
      const { task, workspace } = await bench();
      const { outcome } = await runToEnd(agent(), task({ prompt: prompts.nothing }));
      expect(outcome).toMatchObject({ status: 'succeeded', reason: 'completed' });
      expect(await readdir(workspace.paths.work)).toEqual([]);
    });

    test.skipIf(hidesExitCodes)('a command that fails shows as a failed tool', async () => {
      const { task } = await bench();
      const { events } = await runToEnd(agent(), task({ prompt: prompts.failing }));
      expect(toolResults(events)).toMatchObject([{ status: 'failed', output: expect.stringContaining('3') }]);
    });

    test('a program that is killed is a crash, worth another try', async () => {
      const { task } = await bench();
      const { outcome } = await runToEnd(agent(), task({ prompt: prompts.crash }));
      expect(outcome).toMatchObject({ status: 'failed', reason: 'crash', retryable: true });
      expect(outcome.message).not.toBeNull();
    });

    test('stopped in mid-run, nothing of it is alive, not even what traps TERM or has left its session', async () => {
      const { task, workspace, runtime } = await bench();
      const { run, ended } = await follow(agent(), task({ prompt: prompts.stubborn }));
      await waitFor(() => fileExists(workspace.paths.work, 'ready'), READY);
      await Promise.all([run.stop('cancelled'), run.stop('wall_limit')]);
      expect(await runtime.sweep(workspace.buildId)).toBe(0);
      await ended;
      expect(run.outcome()).toMatchObject({ status: 'cancelled', reason: 'cancelled', retryable: false });
      await run.stop('cancelled');
    });

    test('a stop after its end changes nothing', async () => {
      const { task } = await bench();
      const { run, outcome } = await runToEnd(agent(), task({ prompt: prompts.nothing }));
      await run.stop('cancelled');
      expect(run.outcome()).toEqual(outcome);
    });

    test('a successor goes on in mid-run and again after the end: every event once, the same outcome', async () => {
      const { task, workspace, successor } = await bench();
      const dying = new AbortController();
      const first = await follow(agent(), task({ prompt: prompts.wait, detached: dying.signal }));
      await waitFor(() => fileExists(workspace.paths.work, 'ready'), READY);
      await waitFor(() => first.events.some(isToolCall), { what: 'the call of a tool' });
      dying.abort();
      await first.ended;
      expect(() => first.run.outcome()).toThrow('before');
      const published = first.offsets.at(-1);

      const second = await follow(
        agent(),
        task({ workspace: await successor(), prompt: prompts.wait, publishedUpTo: published ?? START }),
      );
      expect(second.run.reattached).toBe(true);
      await writeFile(join(workspace.paths.work, 'go'), '');
      await second.ended;
      const outcome = second.run.outcome();
      expect(outcome).toMatchObject({ status: 'succeeded', reason: 'completed' });

      const whole = await runToEnd(agent(), task({ workspace: await successor(), prompt: prompts.wait }));
      expect([...first.events, ...second.events]).toEqual(whole.events);
      expect(whole.outcome).toEqual(outcome);

      const publishedUpTo = second.offsets.at(-1) ?? START;
      const third = await runToEnd(
        agent(),
        task({ workspace: await successor(), prompt: prompts.wait, publishedUpTo }),
      );
      expect(third.events).toEqual([]);
      expect(third.lines).toEqual([]);
      expect(third.outcome).toEqual(outcome);
    });

    test('the outcome is not known before the end', async () => {
      const { task, workspace } = await bench();
      const { run, ended } = await follow(agent(), task({ prompt: prompts.wait }));
      expect(() => run.outcome()).toThrow('before');
      await waitFor(() => fileExists(workspace.paths.work, 'ready'), READY);
      await run.stop('released');
      await ended;
      expect(run.outcome()).toMatchObject({ status: 'failed', reason: 'crash', retryable: true });
    });
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
