/**
 * What each recorded turn of an ACP agent means, written by hand from reading the recording. `stop` is how the recorder
 * ended it, in our words. Cost in US dollars is what this turn alone cost; null: nobody said.
 */
import type { AgentOutcome, StopReason } from '../../src/agents/agent.ts';

interface ExpectedVerdict {
  readonly verdict: `${AgentOutcome['status']}/${AgentOutcome['reason']}`;
  readonly costUsd: number | null;
  /** Input and output tokens. */
  readonly tokens: readonly [number, number] | null;
  readonly stop?: StopReason;
  readonly denials?: readonly string[];
}

export const ACP_VERDICTS: Readonly<Record<string, ExpectedVerdict>> = {
  // It ended its turn by itself. Gemini had failed to write its file, and says nothing of it.
  'acp-claude-success': { verdict: 'succeeded/completed', costUsd: 0.02306, tokens: [3900, 90] },
  'acp-codex-success': { verdict: 'succeeded/completed', costUsd: null, tokens: [600, 90] },
  'acp-gemini-success': { verdict: 'succeeded/completed', costUsd: null, tokens: [3900, 90] },
  'acp-opencode-success': { verdict: 'succeeded/completed', costUsd: 0.0069, tokens: [100, 20] },

  // The recorder refused the first permission. Codex and OpenCode asked for none.
  'acp-claude-reject': { verdict: 'succeeded/permission', costUsd: 0.02306, tokens: [3900, 90], denials: ['Write'] },
  'acp-codex-reject': { verdict: 'succeeded/completed', costUsd: null, tokens: [600, 90] },
  'acp-gemini-reject': { verdict: 'succeeded/permission', costUsd: null, tokens: [3900, 90], denials: ['execute'] },
  'acp-opencode-reject': { verdict: 'succeeded/completed', costUsd: 0.0069, tokens: [100, 20] },

  // A session of an earlier run: its costs in all are told, and not what this turn cost. Gemini did not find it.
  'acp-claude-load': { verdict: 'succeeded/completed', costUsd: null, tokens: [2000, 100] },
  'acp-codex-load': { verdict: 'succeeded/completed', costUsd: null, tokens: [2000, 100] },
  'acp-gemini-load': { verdict: 'failed/not_found', costUsd: null, tokens: null },
  'acp-opencode-load': { verdict: 'succeeded/completed', costUsd: null, tokens: [1000, 50] },

  'acp-claude-cancel': { verdict: 'cancelled/cancelled', costUsd: 0.01, tokens: [1000, 50], stop: 'cancelled' },
  'acp-codex-cancel': { verdict: 'cancelled/cancelled', costUsd: null, tokens: [1000, 50], stop: 'cancelled' },
  'acp-gemini-cancel': { verdict: 'cancelled/cancelled', costUsd: null, tokens: null, stop: 'cancelled' },
  'acp-opencode-cancel': { verdict: 'cancelled/cancelled', costUsd: 0, tokens: [0, 0], stop: 'cancelled' },

  // The key was refused. The adapter of Claude Code only tries again, and says nothing for as long as anybody waits.
  'acp-claude-error401': { verdict: 'failed/idle', costUsd: null, tokens: null, stop: 'silence_limit' },
  'acp-codex-error401': { verdict: 'failed/auth', costUsd: null, tokens: null },
  'acp-gemini-error401': { verdict: 'failed/auth', costUsd: null, tokens: null },
  'acp-opencode-error401': { verdict: 'failed/auth', costUsd: 0, tokens: null },
};
