/**
 * What each recorded run of Gemini CLI means, written by hand from reading the recording. `stop` is how the recorder ended
 * the run, in our words. Tokens are those of this run, cached ones not counted as input; null: nobody said.
 */
import type { AgentOutcome, StopReason } from '../../src/agents/agent.ts';

interface ExpectedVerdict {
  readonly verdict: `${AgentOutcome['status']}/${AgentOutcome['reason']}`;
  /** Input, output, read from the cache. */
  readonly tokens: readonly [number, number, number] | null;
  readonly stop?: StopReason;
}

export const GEMINI_VERDICTS: Readonly<Record<string, ExpectedVerdict>> = {
  // It did what it was asked.
  'gemini-success': { verdict: 'succeeded/completed', tokens: [600, 90, 3300] },
  'gemini-stdin': { verdict: 'succeeded/completed', tokens: [600, 90, 3300] },
  'gemini-badcmd': { verdict: 'succeeded/completed', tokens: [2000, 100, 0] },
  'gemini-session-id': { verdict: 'succeeded/completed', tokens: [1000, 50, 0] },

  // A resumed session tells what this run used.
  'gemini-resume': { verdict: 'succeeded/completed', tokens: [2000, 100, 0] },
  'gemini-resume-latest': { verdict: 'succeeded/completed', tokens: [2000, 100, 0] },

  // The provider refused; the exit codes are 144 and 145.
  'gemini-400': { verdict: 'failed/context_overflow', tokens: [0, 0, 0] },
  'gemini-401': { verdict: 'failed/auth', tokens: [0, 0, 0] },
  // It tries for ever and says so on stderr only; the recorder ended it after a minute.
  'gemini-500': { verdict: 'failed/timeout', tokens: null, stop: 'wall_limit' },

  // The recorder ended it: it exits with 0 and says nothing, or ignores the signal until it is killed.
  'gemini-sigint-group': { verdict: 'cancelled/cancelled', tokens: null, stop: 'cancelled' },
  'gemini-sigint-model': { verdict: 'cancelled/cancelled', tokens: null, stop: 'cancelled' },
  'gemini-sigint-norelaunch': { verdict: 'cancelled/cancelled', tokens: null, stop: 'cancelled' },
  'gemini-sigint-tool': { verdict: 'cancelled/cancelled', tokens: null, stop: 'cancelled' },
  'gemini-sigterm-group': { verdict: 'cancelled/cancelled', tokens: null, stop: 'cancelled' },
  'gemini-sigterm-norelaunch': { verdict: 'cancelled/cancelled', tokens: null, stop: 'cancelled' },
  'gemini-sigterm-tool': { verdict: 'cancelled/cancelled', tokens: null, stop: 'cancelled' },
};
