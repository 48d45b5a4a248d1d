/**
 * How a run of Gemini CLI ended. Its exit code decides nothing: it is 0 after a signal and the provider's HTTP status,
 * cut to a byte, after a refusal.
 */
import type { Usage } from '../events/event.ts';
import type { AgentReason, RunEnd } from './agent.ts';
import { apiReason } from './api-reason.ts';
import { exitVerdict, failed, type Progress, startVerdict, stopVerdict, succeeded, type Verdict } from './verdict.ts';

/** What the verdict needs of the whole stream; its size does not grow with it. */
export interface GeminiTranscript {
  /** A session began: Gemini got past its own start. */
  sessionId: string | null;
  /** The last line; null when there is none. */
  result: { readonly ok: boolean; readonly errorType: string | null; readonly message: string | null } | null;
  /** What went wrong in the middle, by its own account. */
  lastError: string | null;
  /** It stopped in the middle because it seemed to repeat itself, and calls that a success. */
  loopDetected: boolean;
  lastRetry: Progress['lastRetry'];
  lastText: string;
  readonly deniedTools: Set<string>;
  usage: Usage | null;
}

const NO_SESSION = /error resuming session/i;
const NO_KEY = /GEMINI_API_KEY|set an auth method/i;
/** What it always says on stderr, of no use to a person. */
const CHATTER = /^(\[STARTUP\]|Warning: |YOLO mode|Ripgrep is not|Approval mode|\s+at )/;

export function geminiVerdict(seen: Readonly<GeminiTranscript>, end: RunEnd): Verdict {
  const { result, lastRetry } = seen;
  const stopped = stopVerdict(end.stoppedBecause, { finished: result !== null, lastRetry });
  if (stopped) return stopped;
  if (seen.loopDetected) return failed('agent_error', 'Gemini CLI stopped because the model repeated itself.');
  if (result?.ok) return succeeded(seen.deniedTools.size > 0 ? 'permission' : 'completed');
  if (result) return failureVerdict(result.errorType, result.message ?? seen.lastError ?? 'Gemini did not say why.');
  const quiet = { ...end, stderrTail: wordsOf(end) };
  return seen.sessionId === null ? sessionlessVerdict(quiet) : exitVerdict(quiet, { finished: false, lastRetry });
}

/** What the provider answered, as a reason and one sentence: its JSON stands within Gemini's words. */
export function geminiFailure(text: string): { readonly reason: AgentReason; readonly message: string } {
  const status = /"code":\s*(\d{3})\b|\bstatus:? (\d{3})\b/.exec(text);
  const message = /"message":\s*"((?:[^"\\]|\\.)*)"/.exec(text)?.[1] ?? text;
  const number = status ? Number(status[1] ?? status[2]) : null;
  return { reason: apiReason({ status: number, error: null, text: message }), message };
}

function failureVerdict(errorType: string | null, text: string): Verdict {
  if (errorType === 'FatalTurnLimitedError') return failed('max_turns', text);
  const { reason, message } = geminiFailure(text);
  return failed(reason === 'unknown' ? 'agent_error' : reason, message);
}

function sessionlessVerdict(end: RunEnd): Verdict {
  if (NO_SESSION.test(end.stderrTail)) return failed('not_found', end.stderrTail);
  if (NO_KEY.test(end.stderrTail)) return failed('auth', end.stderrTail);
  return startVerdict('Gemini CLI', end);
}

function wordsOf({ stderrTail }: RunEnd): string {
  const lines = stderrTail.split('\n').filter((line) => !CHATTER.test(line));
  return lines.join('\n').trim();
}
