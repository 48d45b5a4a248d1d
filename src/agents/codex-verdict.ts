/**
 * How a run of Codex ended. Its exit code does not decide alone: it exits 1 after an interrupt as it does after a
 * refusal of the provider, and what it says of that is a sentence.
 */
import type { Usage } from '../events/event.ts';
import type { AgentReason, RunEnd } from './agent.ts';
import { apiReason } from './api-reason.ts';
import { fieldsOf, parseFields, textOf } from './json-fields.ts';
import { exitVerdict, failed, type Progress, startVerdict, stopVerdict, succeeded, type Verdict } from './verdict.ts';

/** What the verdict needs of the whole stream; its size does not grow with it. */
export interface CodexTranscript {
  /** A session began: Codex got past its own start. */
  sessionId: string | null;
  turn: 'none' | 'open' | 'completed' | 'failed';
  /** Why the turn failed, in Codex' words. */
  failure: string | null;
  /** The last `error` line that announced no further try. */
  lastError: string | null;
  lastRetry: Progress['lastRetry'];
  lastText: string;
  readonly deniedTools: Set<string>;
  usage: Usage | null;
}

const NO_SESSION = /no rollout found/i;
/** OpenAI's words for an account without credit; it answers 429 as for too many requests. */
const NO_CREDIT = /exceeded your current quota|quota exceeded\. check your plan/i;
/** What Codex says when it reads the prompt: of no use to a person. */
const CHATTER = /^Reading (additional input|prompt) from stdin/;

export function codexVerdict(seen: Readonly<CodexTranscript>, end: RunEnd): Verdict {
  const progress = { finished: seen.turn === 'completed' || seen.turn === 'failed', lastRetry: seen.lastRetry };
  const stopped = stopVerdict(end.stoppedBecause, progress);
  if (stopped) return stopped;
  if (seen.failure !== null) return failedWith(seen.failure);
  if (seen.sessionId === null) return sessionlessVerdict(end);
  const exitedWell = end.exit.kind === 'exited' && end.exit.code === 0;
  if (seen.turn === 'completed' && (exitedWell || end.stoppedBecause !== null)) {
    return succeeded(seen.deniedTools.size > 0 ? 'permission' : 'completed');
  }
  if (seen.lastError !== null) return failedWith(seen.lastError);
  return exitVerdict({ ...end, stderrTail: wordsOf(end) }, progress);
}

/** What the provider or Codex itself said, as a reason and one sentence. */
export function codexFailure(text: string): { readonly reason: AgentReason; readonly message: string } {
  const error = fieldsOf(parseFields(text)?.error);
  const message = textOf(error?.message) ?? text;
  const status = /\bstatus:? (\d{3})\b/.exec(message)?.[1];
  if (NO_CREDIT.test(message)) return { reason: 'billing', message };
  // A refusal with 400 comes as the provider's JSON, without the number.
  const known = status !== undefined ? Number(status) : error?.type === 'invalid_request_error' ? 400 : null;
  return { reason: apiReason({ status: known, error: null, text: message }), message };
}

function failedWith(text: string): Verdict {
  const { reason, message } = codexFailure(text);
  return failed(reason, message);
}

function sessionlessVerdict(end: RunEnd): Verdict {
  const words = wordsOf(end);
  return NO_SESSION.test(words) ? failed('not_found', words) : startVerdict('Codex', { ...end, stderrTail: words });
}

function wordsOf({ stderrTail }: RunEnd): string {
  const lines = stderrTail.split('\n').filter((line) => !CHATTER.test(line));
  return lines.join('\n').trim();
}
