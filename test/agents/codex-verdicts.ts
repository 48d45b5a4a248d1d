/**
 * What each recorded run of Codex means, written by hand from reading the recording. `stop` is how the recorder ended the
 * run, in our words. Tokens are those of this run, cached ones not counted as input; null: nobody said.
 */
import type { AgentOutcome, StopReason } from '../../src/agents/agent.ts';
import type { Usage } from '../../src/events/event.ts';

interface ExpectedVerdict {
  readonly verdict: `${AgentOutcome['status']}/${AgentOutcome['reason']}`;
  /** Input, output, read from the cache. */
  readonly tokens: readonly [number, number, number] | null;
  readonly stop?: StopReason;
  /** What the builds before it had used of its session. */
  readonly resumed?: Pick<Usage, 'inputTokens' | 'outputTokens' | 'cacheReadTokens'>;
}

export const CODEX_VERDICTS: Readonly<Record<string, ExpectedVerdict>> = {
  // It did what it was asked.
  'codex-success': { verdict: 'succeeded/completed', tokens: [600, 90, 3300] },
  'codex-stdin': { verdict: 'succeeded/completed', tokens: [600, 90, 3300] },
  'codex-patch': { verdict: 'succeeded/completed', tokens: [2000, 100, 0] },
  'codex-badcmd': { verdict: 'succeeded/completed', tokens: [2000, 100, 0] },
  'codex-dash-prompt': { verdict: 'succeeded/completed', tokens: [1000, 50, 0] },
  // The two refusals before the answer are not told.
  'codex-500-recover': { verdict: 'succeeded/completed', tokens: [1000, 50, 0] },
  // The tool says "Read-only file system": Codex reports a failed command, not a denial.
  'codex-sandbox-readonly': { verdict: 'succeeded/completed', tokens: [600, 90, 3300] },

  // It goes on with the session of codex-success, and tells 5900 tokens of input for both.
  'codex-resume': {
    verdict: 'succeeded/completed',
    tokens: [2000, 100, 0],
    resumed: { inputTokens: 600, outputTokens: 90, cacheReadTokens: 3300 },
  },
  'codex-resume-unknown': { verdict: 'failed/not_found', tokens: null },

  // The provider refused.
  'codex-400': { verdict: 'failed/context_overflow', tokens: null },
  'codex-401': { verdict: 'failed/auth', tokens: null },
  'codex-nokey': { verdict: 'failed/auth', tokens: null },

  // The recorder ended it. Nothing says so in the stream.
  'codex-sigint-model': { verdict: 'cancelled/cancelled', tokens: null, stop: 'cancelled' },
  'codex-sigint-tool': { verdict: 'cancelled/cancelled', tokens: null, stop: 'cancelled' },
  'codex-sigterm-tool': { verdict: 'cancelled/cancelled', tokens: null, stop: 'cancelled' },
  'codex-sigkill-tool': { verdict: 'failed/crash', tokens: null },
  // It waits for the end of its input, for ever.
  'codex-stdin-open': { verdict: 'failed/timeout', tokens: null, stop: 'wall_limit' },
};
