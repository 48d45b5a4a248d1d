/**
 * What each recorded run of Claude Code means, written by hand from reading the recording. `stop` is how the recorder
 * ended the run, in our words. Cost in US dollars is what this run alone cost; null: nobody said.
 */
import type { AgentOutcome, StopReason } from '../../src/agents/agent.ts';

interface ExpectedVerdict {
  readonly verdict: `${AgentOutcome['status']}/${AgentOutcome['reason']}`;
  readonly costUsd: number | null;
  readonly stop?: StopReason;
  readonly denials?: readonly string[];
}

export const CLAUDE_CODE_VERDICTS: Readonly<Record<string, ExpectedVerdict>> = {
  // It did what it was asked.
  'claude-success': { verdict: 'succeeded/completed', costUsd: 0.01806 },
  'claude-partial': { verdict: 'succeeded/completed', costUsd: 0.01806 },
  'claude-slow-partial': { verdict: 'succeeded/completed', costUsd: 0.005 },
  'claude-think-partial': { verdict: 'succeeded/completed', costUsd: 0.005 },
  'claude-badcmd': { verdict: 'succeeded/completed', costUsd: 0.01 },
  'claude-big-bash': { verdict: 'succeeded/completed', costUsd: 0.01 },
  'claude-env': { verdict: 'succeeded/completed', costUsd: 0.01 },
  'claude-bad-model': { verdict: 'succeeded/completed', costUsd: 0.005 },
  'claude-root-bypass-sandbox': { verdict: 'succeeded/completed', costUsd: 0.01806 },
  'claude-session-id': { verdict: 'succeeded/completed', costUsd: 0.01 },
  'claude-stdin-1m': { verdict: 'succeeded/completed', costUsd: 0.005 },

  // Several turns in one run: the cost is the sum of the turns.
  'claude-background-bash': { verdict: 'succeeded/completed', costUsd: 0.015 },
  'claude-subagent': { verdict: 'succeeded/completed', costUsd: 0.025 },
  'claude-sj-two-turns': { verdict: 'succeeded/completed', costUsd: 0.02806 },

  // A resumed session tells the cost of the whole session; this run's is less.
  'claude-resume': { verdict: 'succeeded/completed', costUsd: 0.01 },
  'claude-resume-other-cwd': { verdict: 'succeeded/completed', costUsd: 0.01 },
  'claude-resume-unknown': { verdict: 'failed/not_found', costUsd: 0 },
  'claude-session-id-dup': { verdict: 'failed/config', costUsd: null },

  // It says success, and some tool was denied.
  'claude-denied-default': { verdict: 'succeeded/permission', costUsd: 0.01806, denials: ['Write'] },
  'claude-denied-dontask': { verdict: 'succeeded/permission', costUsd: 0.01806, denials: ['Write'] },
  'claude-hooks-bare': { verdict: 'succeeded/permission', costUsd: 0.01806, denials: ['Bash'] },
  'claude-hooks-default': { verdict: 'succeeded/permission', costUsd: 0.01806, denials: ['Write'] },
  'claude-hooks-restricted': { verdict: 'succeeded/permission', costUsd: 0.01806, denials: ['Write'] },
  'claude-hooks-safe': { verdict: 'succeeded/permission', costUsd: 0.01806, denials: ['Write'] },
  'claude-hooks-sources-none': { verdict: 'succeeded/permission', costUsd: 0.01806, denials: ['Write'] },
  'claude-hooks-sources-user': { verdict: 'succeeded/permission', costUsd: 0.01806, denials: ['Write'] },
  'claude-hooks-strict': { verdict: 'succeeded/permission', costUsd: 0.01806, denials: ['Write'] },

  // The provider refused; each of these says `"subtype":"success"`.
  'claude-error-401': { verdict: 'failed/auth', costUsd: 0 },
  'claude-error-401-bare': { verdict: 'failed/auth', costUsd: 0 },
  'claude-error-401-retries0': { verdict: 'failed/auth', costUsd: 0 },
  'claude-error-403': { verdict: 'failed/auth', costUsd: 0 },
  'claude-error-nokey': { verdict: 'failed/auth', costUsd: 0 },
  'claude-credit': { verdict: 'failed/billing', costUsd: 0 },
  'claude-error-400-toolong': { verdict: 'failed/context_overflow', costUsd: 0 },
  'claude-error-429-retries2': { verdict: 'failed/rate_limit', costUsd: 0 },
  'claude-error-500-default': { verdict: 'failed/server_error', costUsd: 0 },
  'claude-error-500-retries2': { verdict: 'failed/server_error', costUsd: 0 },
  'claude-midfail': { verdict: 'failed/server_error', costUsd: 0.005 },
  'claude-error-529-retries2': { verdict: 'failed/overloaded', costUsd: 0 },
  'claude-error-refused': { verdict: 'failed/network', costUsd: 0 },
  'claude-cutoff': { verdict: 'failed/output_truncated', costUsd: 0.02 },
  'claude-refusal': { verdict: 'failed/refusal', costUsd: 0.01 },

  // It was refused twice, then answered.
  'claude-error-429-recover': { verdict: 'succeeded/completed', costUsd: 0.005 },
  'claude-error-500-recover': { verdict: 'succeeded/completed', costUsd: 0.005 },

  // A limit of the build. The budget is looked at after the answer that broke it.
  'claude-max-turns': { verdict: 'failed/max_turns', costUsd: 0.015 },
  'claude-max-budget': { verdict: 'failed/budget', costUsd: 10 },

  // The recorder killed it after 100 s of retries.
  'claude-error-401-wrongkey': { verdict: 'failed/timeout', costUsd: null, stop: 'wall_limit' },

  // It did not start: one line on stderr, or none at all.
  'claude-bad-flag': { verdict: 'failed/config', costUsd: null },
  'claude-env-scrub': { verdict: 'failed/config', costUsd: null },
  'claude-no-verbose': { verdict: 'failed/config', costUsd: null },
  'claude-prompt-dash': { verdict: 'failed/config', costUsd: null },
  'claude-prompt-empty': { verdict: 'failed/config', costUsd: null },
  'claude-prompt-none': { verdict: 'failed/config', costUsd: null },
  'claude-prompt-variadic': { verdict: 'failed/config', costUsd: null },
  'claude-root-bypass': { verdict: 'failed/config', costUsd: null },
  'claude-root-bypass-mode': { verdict: 'failed/config', costUsd: null },
  'claude-root-bypass-startup-results': { verdict: 'failed/config', costUsd: 0 },
  'claude-stdin-12m': { verdict: 'failed/config', costUsd: null },

  // It exits with 0, and the prompt never reached the model: help, another format, a command of the terminal.
  'claude-prompt-dash2': { verdict: 'failed/config', costUsd: null },
  'claude-json-output': { verdict: 'failed/config', costUsd: null },
  'claude-prompt-slash': { verdict: 'failed/config', costUsd: 0 },
  'claude-prompt-slash-init': { verdict: 'failed/config', costUsd: 0 },
  'claude-sj-slash-plain': { verdict: 'failed/config', costUsd: 0 },

  // Ways to give the prompt that work.
  'claude-prompt-argv-and-stdin': { verdict: 'succeeded/completed', costUsd: 0.005 },
  'claude-prompt-argv-stdin-null': { verdict: 'succeeded/completed', costUsd: 0.005 },
  'claude-prompt-argv-stdin-open': { verdict: 'succeeded/completed', costUsd: 0.005 },
  'claude-prompt-at': { verdict: 'succeeded/completed', costUsd: 0.005 },
  'claude-prompt-dashdash': { verdict: 'succeeded/completed', costUsd: 0.005 },
  'claude-prompt-stdin': { verdict: 'succeeded/completed', costUsd: 0.005 },
  'claude-prompt-stdin-dash': { verdict: 'succeeded/completed', costUsd: 0.005 },
  'claude-sj-at-composed': { verdict: 'succeeded/completed', costUsd: 0.005 },
  'claude-sj-at-plain': { verdict: 'succeeded/completed', costUsd: 0.005 },
  'claude-sj-slash-composed': { verdict: 'succeeded/completed', costUsd: 0.005 },
  'claude-sj-eof-early': { verdict: 'succeeded/completed', costUsd: 0.01806 },
  'claude-sj-permission': { verdict: 'succeeded/completed', costUsd: 0.01806 },

  // Interrupted: its own words say so, whatever the exit code (0 in three of four).
  'claude-sigint-model': { verdict: 'cancelled/cancelled', costUsd: 0.00424 },
  'claude-sigint-tool': { verdict: 'cancelled/cancelled', costUsd: 0.005 },
  'claude-sj-interrupt-model': { verdict: 'cancelled/cancelled', costUsd: 0.00424 },
  'claude-sj-interrupt-tool': { verdict: 'cancelled/cancelled', costUsd: 0.015 },

  // Killed by the recorder: there is no result line.
  'claude-sighup-model': { verdict: 'cancelled/cancelled', costUsd: null, stop: 'cancelled' },
  'claude-sighup-tool': { verdict: 'cancelled/cancelled', costUsd: null, stop: 'cancelled' },
  'claude-sigkill-group': { verdict: 'cancelled/cancelled', costUsd: null, stop: 'cancelled' },
  'claude-sigkill-model': { verdict: 'cancelled/cancelled', costUsd: null, stop: 'cancelled' },
  'claude-sigkill-tool': { verdict: 'cancelled/cancelled', costUsd: null, stop: 'cancelled' },
  'claude-sigterm-group': { verdict: 'cancelled/cancelled', costUsd: null, stop: 'cancelled' },
  'claude-sigterm-model': { verdict: 'cancelled/cancelled', costUsd: null, stop: 'cancelled' },
  'claude-sigterm-tool': { verdict: 'cancelled/cancelled', costUsd: null, stop: 'cancelled' },
};
