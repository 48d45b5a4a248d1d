/**
 * What can happen to an agent, and what it comes to: for each case the script that its model plays, how the run is ended,
 * and the outcome. The reasons are those of the provider's answer, whatever the agent makes of it.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { AgentEvent, AgentOutcome, StopReason } from '../../src/agents/agent.ts';
import { MAX_EVENT_TEXT } from '../../src/events/event.ts';
import type { WorkspacePaths } from '../../src/runtimes/runtime.ts';
import { type Followed, runAsBuild } from '../support/agent-runs.ts';
import type { AgentSuite, CaseName, ExpectedOutcome, OtherAnswer } from './agent-harness.ts';

export interface AgentCase {
  readonly script: string;
  readonly caps?: { readonly maxTurns: number } | { readonly maxCostUsd: number };
  /** We end it: once its model has been asked and has answered or not, or once its tool has made the file `ready`. */
  readonly stop?: { readonly at: 'answered' | 'ready'; readonly why: StopReason } | undefined;
  readonly expected: ExpectedOutcome;
  /** It ends and leaves a process behind. */
  readonly leaves?: boolean;
  readonly check?: (
    ended: Followed & { readonly outcome: AgentOutcome },
    paths: WorkspacePaths,
  ) => Promise<void> | void;
}

const SUCCESS: ExpectedOutcome = { status: 'succeeded', reason: 'completed', retryable: false };
const CANCELLED: ExpectedOutcome = { status: 'cancelled', reason: 'cancelled', retryable: false };

/** Worth no other try. */
function failure(reason: ExpectedOutcome['reason']): ExpectedOutcome {
  return { status: 'failed', reason, retryable: false };
}

/** Another try may go well. */
function trouble(reason: ExpectedOutcome['reason']): ExpectedOutcome {
  return { status: 'failed', reason, retryable: true };
}

export const AGENT_CASES = {
  'tool denied': {
    script: 'outside',
    expected: { ...SUCCESS, reason: 'permission' },
    async check({ outcome }, paths) {
      expect(await readdir(paths.root)).not.toContain('outside.txt');
      expect(outcome.denials.length).toBe(outcome.reason === 'permission' ? 1 : 0);
    },
  },
  'error 400': { script: 'e400', expected: failure('agent_error') },
  'error 401': { script: 'e401', expected: failure('auth') },
  'error 403': { script: 'e403', expected: failure('auth') },
  'error 404, no such model': { script: 'e404', expected: failure('config') },
  'error 429': { script: 'e429', expected: trouble('rate_limit') },
  'error 500': { script: 'e500', expected: trouble('server_error') },
  'error 529 or 503, overloaded': { script: 'e529', expected: trouble('overloaded') },
  'no credit': { script: 'credit', expected: failure('billing') },
  'context overflow': { script: 'overflow', expected: failure('context_overflow') },
  refusal: { script: 'refusal', expected: failure('refusal') },
  'answer cut off': { script: 'cutoff', expected: failure('output_truncated') },
  'silent model': {
    script: 'silent',
    stop: { at: 'answered', why: 'silence_limit' },
    expected: failure('idle'),
  },
  'stalled stream': {
    script: 'stalled',
    stop: { at: 'answered', why: 'silence_limit' },
    expected: failure('idle'),
  },
  'tool hangs': {
    script: 'hang',
    stop: { at: 'ready', why: 'wall_limit' },
    expected: failure('timeout'),
  },
  'dev server left running': { script: 'devserver', expected: SUCCESS, leaves: true },
  'dev server that holds the output of its tool': { script: 'holder', expected: SUCCESS, leaves: true },
  subagent: {
    script: 'subagent',
    expected: SUCCESS,
    async check({ outcome }, paths) {
      expect(await readFile(join(paths.work, 'by-subagent.txt'), 'utf8')).toBe('done\n');
      expect(outcome.finalText).toBe('It was done by somebody else.');
      // Those of the subagent are not the build's.
      expect(outcome.usage?.turns ?? 3).toBe(3);
    },
  },
  'huge output': { script: 'loud', expected: SUCCESS },
  'max turns': { script: 'loop', caps: { maxTurns: 3 }, expected: failure('max_turns') },
  budget: { script: 'spend', caps: { maxCostUsd: 0.002 }, expected: failure('budget') },
  'cancel in model phase': { script: 'silent', stop: { at: 'answered', why: 'cancelled' }, expected: CANCELLED },
  'cancel in tool phase': { script: 'hang', stop: { at: 'ready', why: 'cancelled' }, expected: CANCELLED },
  'cancel in retry phase': { script: 'patience', stop: { at: 'answered', why: 'cancelled' }, expected: CANCELLED },
} as const satisfies Record<string, AgentCase>;

export function describeCases({ harness, play, bench }: AgentSuite): void {
  const differs: { readonly [name: string]: OtherAnswer } = harness.differs ?? {};
  for (const [name, one] of Object.entries<AgentCase>(AGENT_CASES)) {
    play(name as CaseName, async () => {
      const { script, caps = {} } = one;
      const { expected, stop } = { ...one, ...differs[name] };
      const { task, workspace, runtime } = await bench();
      const { work } = workspace.paths;
      const model = harness.model?.();
      const before = model?.answered(script);
      const isReady = async () => (await readdir(work)).includes('ready');
      const moment = stop?.at === 'answered' && model ? () => model.answered(script) !== before : isReady;
      const limits = { maxTurns: null, maxCostUsd: null, ...caps };
      const ended = await runAsBuild(harness.agent(), task({ prompt: harness.prompt(script), limits }), {
        limits: { ...harness.caps, ...caps },
        ...(stop ? { stop: { moment, why: stop.why } } : {}),
      });
      expect(ended.outcome).toMatchObject(expected);
      expectSound(ended);
      const left = await runtime.sweep(workspace.buildId);
      if (!one.leaves) expect(left).toBe(0);
      await one.check?.(ended, workspace.paths);
    });
  }
}

/** What holds for every run, however it went. */
function expectSound({ events, outcome }: Followed & { readonly outcome: AgentOutcome }): void {
  expect(outcome.message === null).toBe(outcome.status === 'succeeded');
  expect(events.filter((event) => event.type === 'raw')).toEqual([]);
  for (const event of events) expect(JSON.stringify(event).length).toBeLessThan(2 * MAX_EVENT_TEXT);
  expect(/\\u0000|\\ud[89a-f]/i.test(JSON.stringify([events, outcome]))).toBe(false);
  const begun = events.findLast((event): event is StartedEvent => event.type === 'started');
  if (begun) expect(outcome.sessionId).toBe(begun.sessionId);
}

type StartedEvent = Extract<AgentEvent, { type: 'started' }>;
