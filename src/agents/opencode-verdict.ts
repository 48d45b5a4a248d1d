/**
 * How a run of OpenCode ended. Its program's last line says only that the session is idle: what that means is in the last
 * message of the assistant, and in the caps that were reached before.
 */
import type { Usage } from '../events/event.ts';
import type { AgentReason, RunEnd } from './agent.ts';
import { errorReason, type OpenCodeError } from './opencode-reason.ts';
import type { OpenCodeLimit } from './opencode-relay.ts';
import { cancelled, exitVerdict, failed, type Progress, stopVerdict, succeeded, type Verdict } from './verdict.ts';

/** What the verdict needs of the whole stream; its size does not grow with it. */
export interface OpenCodeTranscript {
  sessionId: string | null;
  /** The session is idle, and nothing more will come. */
  result: boolean;
  limit: OpenCodeLimit | null;
  failure: { readonly reason: AgentReason; readonly message: string } | null;
  /** The last message of the assistant. */
  last: { readonly id: string; readonly finish: string | null; readonly error: OpenCodeError | null } | null;
  /** The last that was said of the session, not of a message. */
  error: OpenCodeError | null;
  lastRetry: Progress['lastRetry'];
  /** The last text of the assistant. */
  lastText: { readonly id: string; readonly text: string };
  readonly denied: Set<string>;
  usage: Usage | null;
}

export function openCodeVerdict(seen: Readonly<OpenCodeTranscript>, end: RunEnd): Verdict {
  const progress = { finished: seen.result && seen.limit === null, lastRetry: seen.lastRetry };
  const stopped = stopVerdict(end.stoppedBecause, progress);
  if (stopped) return stopped;
  if (seen.failure) return failed(seen.failure.reason, seen.failure.message);
  if (seen.limit) return limitVerdict(seen.limit, seen.lastRetry);
  if (!seen.result) return exitVerdict(end, progress);
  const error = seen.last ? seen.last.error : seen.error;
  if (error) return errorVerdict(error);
  return finishVerdict(seen.last?.finish ?? null, seen);
}

function limitVerdict(limit: OpenCodeLimit, lastRetry: Progress['lastRetry']): Verdict {
  if (limit === 'max_turns') return failed('max_turns', 'OpenCode had used all turns that the build allows.');
  if (limit === 'budget') return failed('budget', 'OpenCode had spent more than the build allows.');
  return failed(lastRetry?.reason ?? 'server_error', lastRetry?.message ?? 'The provider refused OpenCode too often.');
}

function errorVerdict(error: OpenCodeError): Verdict {
  const reason = errorReason(error);
  if (reason === 'cancelled') return cancelled('OpenCode was interrupted.');
  return failed(reason, error.text || `OpenCode reported ${error.name}.`);
}

function finishVerdict(finish: string | null, { denied, lastRetry }: Readonly<OpenCodeTranscript>): Verdict {
  switch (finish) {
    case 'stop':
      return succeeded(denied.size > 0 ? 'permission' : 'completed');
    case 'length':
      return failed('output_truncated', 'The answer of the model was cut off at its longest length.');
    case 'content-filter':
      return failed('refusal', 'The provider refused to answer.');
    case 'tool-calls':
      return failed('permission', `OpenCode stopped at a tool that it may not use: ${[...denied].join(', ')}.`);
    default:
      if (lastRetry) return failed(lastRetry.reason, lastRetry.message);
      return failed('agent_error', `OpenCode stopped without a last word (${finish ?? 'no finish'}).`);
  }
}
