/**
 * What each recorded conversation with an OpenCode server means, written by hand from reading the recording. A recording
 * may hold several prompts; only those up to `prompts` are replayed, for a run has one. `idle`: the session had become
 * idle by then, so that our program would have printed its result. Cost is that of the replayed steps in US dollars; null:
 * no step was finished.
 */
import type { AgentOutcome } from '../../src/agents/agent.ts';

export interface ExpectedOpenCodeVerdict {
  readonly verdict: `${AgentOutcome['status']}/${AgentOutcome['reason']}`;
  readonly costUsd: number | null;
  readonly idle: boolean;
  readonly prompts?: number;
  readonly denials?: readonly string[];
}

export const OPENCODE_VERDICTS: Readonly<Record<string, ExpectedOpenCodeVerdict>> = {
  // The last message has the finish `stop`.
  'opencode-serve-success': { verdict: 'succeeded/completed', costUsd: 0.0069, idle: true },
  'opencode-serve-git-diff': { verdict: 'succeeded/completed', costUsd: 0.0069, idle: true },
  'opencode-serve-error-badcmd': { verdict: 'succeeded/completed', costUsd: 0.0125, idle: true },
  'opencode-serve-evil-both': { verdict: 'succeeded/completed', costUsd: 0.00625, idle: true },
  'opencode-serve-evil-default': { verdict: 'succeeded/completed', costUsd: 0.00625, idle: true },
  'opencode-serve-evil-no-project-config': { verdict: 'succeeded/completed', costUsd: 0.00625, idle: true },
  'opencode-serve-evil-pure': { verdict: 'succeeded/completed', costUsd: 0.00625, idle: true },
  'opencode-serve-permission-always': { verdict: 'succeeded/completed', costUsd: 0.0069, idle: true },
  'opencode-serve-permission-once': { verdict: 'succeeded/completed', costUsd: 0.0069, idle: true },
  'opencode-serve-question-tool-off': { verdict: 'succeeded/completed', costUsd: 0.0125, idle: true },
  'opencode-serve-two-prompts': { verdict: 'succeeded/completed', costUsd: 0.0125, idle: true, prompts: 2 },
  // Two sessions in two directories; ours is the first.
  'opencode-serve-two-dirs': { verdict: 'succeeded/completed', costUsd: 0.0069, idle: true, prompts: 2 },
  // The stream was lost in the middle, and nothing with it.
  'opencode-serve-sse-reconnect': { verdict: 'succeeded/completed', costUsd: 0.00625, idle: true },
  // The provider refused twice; only the call for a title met it.
  'opencode-serve-error-e429-recover': { verdict: 'succeeded/completed', costUsd: 0.00625, idle: true },
  // Too long, healed by a summary: the cost is of the summary and the answer.
  'opencode-serve-error-e400-context': { verdict: 'succeeded/completed', costUsd: 0.0125, idle: true },

  // Both tools were refused with a word, the model went on and said that it is done.
  'opencode-serve-permission-reject-message': {
    verdict: 'succeeded/permission',
    costUsd: 0.0069,
    idle: true,
    denials: ['write', 'bash'],
  },
  // Refused without a word, which ends the turn with the finish `tool-calls`.
  'opencode-serve-permission-reject': { verdict: 'failed/permission', costUsd: 0.0034, idle: true, denials: ['write'] },
  'opencode-serve-question': { verdict: 'failed/permission', costUsd: 0.00625, idle: true, denials: ['question'] },

  // Aborted by the recorder: the last message has the error MessageAbortedError.
  'opencode-serve-abort-model': { verdict: 'cancelled/cancelled', costUsd: null, idle: true },
  'opencode-serve-abort-tool': { verdict: 'cancelled/cancelled', costUsd: null, idle: true },
  'opencode-serve-abort-stubborn': { verdict: 'cancelled/cancelled', costUsd: null, idle: true },
  'opencode-serve-outside-default': { verdict: 'cancelled/cancelled', costUsd: null, idle: true },
  'opencode-serve-sync-disconnect': { verdict: 'cancelled/cancelled', costUsd: null, idle: true },

  // The provider refused.
  'opencode-serve-error-e401': { verdict: 'failed/auth', costUsd: null, idle: true },
  'opencode-serve-error-e403': { verdict: 'failed/auth', costUsd: null, idle: true },
  'opencode-serve-error-credit': { verdict: 'failed/billing', costUsd: null, idle: true },
  // Aborted by the recorder in its fifth retry: neither a finish nor an error.
  'opencode-serve-error-e500': { verdict: 'failed/server_error', costUsd: null, idle: true },
  // The finish is `length`.
  'opencode-serve-cutoff': { verdict: 'failed/output_truncated', costUsd: 0.00625, idle: true },

  // A model and an agent that are not there; nothing was asked of a model.
  'opencode-serve-bad-requests': { verdict: 'failed/config', costUsd: null, idle: true, prompts: 9 },
  // The server was killed while a tool ran.
  'opencode-serve-crash': { verdict: 'failed/crash', costUsd: null, idle: false },
};
