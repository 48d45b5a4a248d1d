/**
 * How a run of Claude Code ended. Neither its exit code nor its word `success` decides alone: it exits 0 after an
 * interrupt, says `success` with `is_error` for every failure of the provider, and has several results in one run.
 */
import type { Usage } from '../events/event.ts';
import type { RunEnd } from './agent.ts';
import { apiReason } from './api-reason.ts';
import {
  cancelled,
  exitVerdict,
  failed,
  type Progress,
  startVerdict,
  stopVerdict,
  succeeded,
  type Verdict,
} from './verdict.ts';

/** One `result` line: the end of one turn. */
export interface ClaudeResult {
  readonly subtype: string;
  readonly isError: boolean;
  readonly terminalReason: string;
  readonly stopReason: string | null;
  readonly apiStatus: number | null;
  readonly apiError: string | null;
  /** The answer; for a failure what went wrong. */
  readonly text: string;
  readonly startupFailure: string | null;
  /** The prompt was taken for this command of the terminal and never reached the model. */
  readonly localCommand: string | null;
}

/** What the verdict needs of the whole stream; its size does not grow with it. */
export interface ClaudeTranscript {
  /** A session began: Claude Code got past its own start. */
  sessionId: string | null;
  /** A turn is running. */
  turnOpen: boolean;
  firstFailure: ClaudeResult | null;
  lastResult: ClaudeResult | null;
  lastRetry: Progress['lastRetry'];
  /** Claude's own name for what the provider answered: `authentication_failed`, `billing_error` … */
  apiError: string | null;
  lastText: string;
  readonly deniedTools: Set<string>;
  readonly deniedCalls: Set<string>;
  usage: Usage | null;
}

const NO_SESSION = /no conversation found/i;

export function claudeVerdict(seen: Readonly<ClaudeTranscript>, end: RunEnd): Verdict {
  const progress = { finished: seen.lastResult !== null && !seen.turnOpen, lastRetry: seen.lastRetry };
  const stopped = stopVerdict(end.stoppedBecause, progress);
  if (stopped) return stopped;
  const failure = seen.firstFailure;
  if (failure) return failureVerdict(failure);
  const result = seen.lastResult;
  if (!result) return seen.sessionId === null ? sessionlessVerdict(end) : exitVerdict(end, progress);
  if (seen.turnOpen && crashed(end)) return exitVerdict(end, progress);
  if (result.localCommand !== null) {
    return failed('config', `Claude Code took the prompt for its own command /${result.localCommand}.`);
  }
  return succeeded(seen.deniedTools.size > 0 ? 'permission' : 'completed');
}

/** A signal that nobody of us sent, such as the kernel's when memory runs out, in the middle of a further turn. */
function crashed({ exit, stoppedBecause }: RunEnd): boolean {
  return stoppedBecause === null && !(exit.kind === 'exited' && exit.code === 0);
}

/** Claude Code ended before a session began. */
function sessionlessVerdict(end: RunEnd): Verdict {
  const words = end.stderrTail.trim();
  return NO_SESSION.test(words) ? failed('not_found', words) : startVerdict('Claude Code', end);
}

function failureVerdict(result: ClaudeResult): Verdict {
  const { subtype, terminalReason, text } = result;
  if (terminalReason.startsWith('aborted')) return cancelled('Claude Code was interrupted.');
  if (result.startupFailure !== null) return failed('config', text);
  if (NO_SESSION.test(text)) return failed('not_found', text);
  if (subtype === 'error_max_turns' || terminalReason === 'max_turns') return failed('max_turns', text);
  if (subtype === 'error_max_budget_usd' || terminalReason === 'budget_exhausted') return failed('budget', text);
  if (terminalReason === 'prompt_too_long') return failed('context_overflow', text);
  if (result.stopReason === 'refusal') return failed('refusal', text);
  if (terminalReason === 'api_error' || result.apiStatus !== null) {
    return failed(apiReason({ status: result.apiStatus, error: result.apiError, text }), text);
  }
  return failed('agent_error', text || `Claude Code reported ${subtype}.`);
}
