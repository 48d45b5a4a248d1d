/**
 * How a turn of an ACP agent ended. A stop reason without complaint is a success, whatever its tools did: git says what
 * changed. Errors have codes of JSON-RPC, statuses of HTTP, or only words.
 */
import type { Usage } from '../events/event.ts';
import type { AgentReason, RunEnd } from './agent.ts';
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

/** An error with which the agent answered us. */
export interface AcpFailure {
  /** What it was asked. */
  readonly method: string;
  readonly code: number | null;
  readonly text: string;
}

/** What the verdict needs of the whole stream; its size does not grow with it. */
export interface AcpTranscript {
  sessionId: string | null;
  agentVersion: string | null;
  model: string | null;
  /** The agent was given the prompt. */
  isPrompted: boolean;
  /** The agent was asked to cancel its turn: what it answers then says no more than that. */
  isCancelled: boolean;
  /** Why the agent ended its turn; null: it has not. */
  stopReason: string | null;
  firstFailure: AcpFailure | null;
  /** Of an agent that tells when its provider refuses it. */
  lastRetry: Progress['lastRetry'];
  /** What went wrong in the conversation without an error of the agent. */
  problem: { readonly reason: AgentReason; readonly message: string } | null;
  lastText: string;
  readonly deniedTools: Set<string>;
  usage: Usage | null;
}

const AUTH_REQUIRED = -32_000;
const UNKNOWN_KEY = /x-api-key|api[ _-]?key|unauthori[sz]ed|authenticat|log ?in\b/i;
/** The agent's own agent was ended under it. */
const KILLED = /terminated by signal|process exited|exited with code|exited unexpectedly/i;

export function acpVerdict(name: string, seen: Readonly<AcpTranscript>, end: RunEnd): Verdict {
  const answered = seen.stopReason !== null && seen.stopReason !== 'cancelled';
  const finished = answered || (seen.firstFailure !== null && !seen.isCancelled);
  const progress = { finished, lastRetry: seen.lastRetry };
  const stopped = stopVerdict(end.stoppedBecause, progress);
  if (stopped) return stopped;
  if (seen.firstFailure) return failureVerdict(seen.firstFailure);
  if (seen.stopReason !== null) return turnVerdict(seen);
  if (seen.problem?.reason === 'crash') return lostVerdict(name, seen, end);
  if (seen.problem) return failed(seen.problem.reason, seen.problem.message);
  return seen.isPrompted ? exitVerdict(end, progress) : startVerdict(name, end);
}

function turnVerdict({ stopReason, deniedTools }: Readonly<AcpTranscript>): Verdict {
  switch (stopReason) {
    case 'end_turn':
      return succeeded(deniedTools.size > 0 ? 'permission' : 'completed');
    case 'max_tokens':
      return failed(
        'output_truncated',
        'The answer of the model was cut off: it was longer than the model may answer.',
      );
    case 'max_turn_requests':
      return failed('max_turns', 'The agent asked its model as often as it may in one turn.');
    case 'refusal':
      return failed('refusal', 'The model refused to go on.');
    case 'cancelled':
      return cancelled('The agent cancelled its turn.');
    default:
      return failed('agent_error', `The agent ended its turn with ${stopReason}, which Slipway does not know.`);
  }
}

/** The agent ended in the middle; before it was given a prompt it had not even started. */
function lostVerdict(name: string, { problem, isPrompted }: Readonly<AcpTranscript>, end: RunEnd): Verdict {
  const lastWords = end.stderrTail.trim().split('\n').at(-1) ?? '';
  const message = `${problem?.message ?? ''}${lastWords === '' ? '' : ` Its last words: ${lastWords}`}`;
  return isPrompted ? failed('crash', message) : failed('config', `${name} did not start. ${message}`);
}

function failureVerdict(failure: AcpFailure): Verdict {
  return failed(failureReason(failure), failure.text);
}

function failureReason({ method, code, text }: AcpFailure): AgentReason {
  if (code === AUTH_REQUIRED) return 'auth';
  const status = code !== null && code >= 400 && code < 600 ? code : statusIn(text);
  const reason = apiReason({ status, error: null, text });
  if (reason !== 'unknown' && reason !== 'agent_error') return reason;
  if (UNKNOWN_KEY.test(text)) return 'auth';
  if (KILLED.test(text)) return 'crash';
  if (method === 'session/load') return 'not_found';
  return method === 'session/prompt' ? 'agent_error' : 'config';
}

/** `API Error: 529 …`, `unexpected status 401`, `Request rejected (429)` */
function statusIn(text: string): number | null {
  const status = /\b(?:status(?: code)?|error|http|rejected):? \(?(4\d\d|5\d\d)\b/i.exec(text)?.[1];
  return status === undefined ? null : Number(status);
}
