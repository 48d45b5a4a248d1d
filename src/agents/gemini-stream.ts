/**
 * Lines of `gemini --output-format stream-json` -> agent events. An answer comes in pieces, which are one message; that
 * the provider refused and Gemini tries again stands on stderr alone.
 */
import { MAX_EVENT_TEXT, type Usage } from '../events/event.ts';
import type { AgentEvent } from './agent.ts';
import { cutText } from './cut-text.ts';
import { type GeminiTranscript, geminiFailure, geminiVerdict } from './gemini-verdict.ts';
import { fieldsOf, type JsonFields, numberOf, parseFields, textOf } from './json-fields.ts';
import type { LineReader } from './line-agent.ts';
import { nameOf, say, toolCall, toolResult, warn } from './line-events.ts';
import { outcomeOf } from './verdict.ts';

/** Characters of an answer that are kept: no more of it is read by anybody. */
const MAX_ANSWER = 64 * 1024;
/** Calls that may be open at the same time, and tools that were denied. */
const MAX_CALLS = 1000;
/** Types of the errors of a tool that was not allowed: the policy refused it, or it is not there at all. */
const DENIED: ReadonlySet<string> = new Set(['policy_violation', 'execution_denied', 'tool_not_registered']);

interface State {
  readonly seen: GeminiTranscript;
  /** The pieces of the answer so far. */
  answer: string;
  /** The names of the tools of calls that have no result yet. */
  readonly openCalls: Map<string, string>;
}

export function createGeminiReader(): LineReader {
  const seen: GeminiTranscript = {
    sessionId: null,
    result: null,
    lastError: null,
    loopDetected: false,
    lastRetry: null,
    lastText: '',
    deniedTools: new Set(),
    usage: null,
  };
  const state: State = { seen, answer: '', openCalls: new Map() };
  return {
    read: (line) => (line.trim() === '' ? [] : readLine(line, state)),
    readStderr: (line) => readRetry(line, seen),
    verdict: (end) =>
      outcomeOf(geminiVerdict(seen, end), {
        finalText: seen.lastText,
        sessionId: seen.sessionId,
        usage: seen.usage,
        denials: [...seen.deniedTools],
      }),
  };
}

function readLine(line: string, state: State): AgentEvent[] {
  const { seen } = state;
  const fields = parseFields(line);
  if (!fields) return [{ type: 'raw', name: 'not an object' }];
  switch (fields.type) {
    case 'init':
      seen.sessionId = nameOf(fields.session_id);
      return [{ type: 'started', sessionId: seen.sessionId, model: nameOf(fields.model), agentVersion: null }];
    case 'message':
      return readMessage(fields, state);
    case 'tool_use':
      return [...endAnswer(state), readCall(fields, state)];
    case 'tool_result':
      return [...endAnswer(state), readToolResult(fields, state)];
    case 'error':
      if (fields.severity === 'error') seen.lastError = textOf(fields.message);
      if (textOf(fields.message)?.startsWith('Loop detected')) seen.loopDetected = true;
      return [...endAnswer(state), ...warn(textOf(fields.message))];
    case 'result':
      return [...endAnswer(state), ...readEnd(fields, seen)];
    default:
      return [{ type: 'raw', name: nameOf(fields.type) ?? 'without type' }];
  }
}

function readMessage({ role, content }: JsonFields, state: State): AgentEvent[] {
  if (role !== 'assistant') return [];
  state.answer = (state.answer + (textOf(content) ?? '')).slice(0, MAX_ANSWER);
  state.seen.lastText = state.answer;
  state.seen.lastRetry = null;
  return [];
}

/** The pieces so far are all: something else follows them. */
function endAnswer(state: State): AgentEvent[] {
  const text = state.answer;
  state.answer = '';
  return say('message', text);
}

function readCall(fields: JsonFields, { seen, openCalls }: State): AgentEvent {
  const callId = nameOf(fields.tool_id) ?? '';
  const tool = nameOf(fields.tool_name);
  seen.lastRetry = null;
  if (tool !== null && openCalls.size < MAX_CALLS) openCalls.set(callId, tool);
  return toolCall({ callId, tool, input: fields.parameters });
}

function readToolResult(fields: JsonFields, { seen, openCalls }: State): AgentEvent {
  const callId = nameOf(fields.tool_id) ?? '';
  const error = fieldsOf(fields.error);
  const denied = DENIED.has(nameOf(error?.type) ?? '');
  const tool = openCalls.get(callId);
  openCalls.delete(callId);
  if (denied && tool !== undefined && seen.deniedTools.size < MAX_CALLS) seen.deniedTools.add(tool);
  const status = denied ? 'denied' : fields.status === 'error' ? 'failed' : 'ok';
  return toolResult({ callId, status, output: textOf(error?.message) ?? textOf(fields.output) });
}

function readEnd(fields: JsonFields, seen: GeminiTranscript): AgentEvent[] {
  const error = fieldsOf(fields.error);
  const message = textOf(error?.message);
  seen.result = {
    ok: fields.status === 'success',
    errorType: nameOf(error?.type),
    message: message === null ? null : cutText(message, MAX_EVENT_TEXT),
  };
  seen.usage = usageOf(fieldsOf(fields.stats));
  return [{ type: 'usage', usage: seen.usage }, { type: 'turn_finished' }];
}

/** What this run has used, also where it goes on with a session. */
function usageOf(stats: JsonFields | null): Usage {
  const cached = numberOf(stats?.cached);
  const input = numberOf(stats?.input_tokens);
  return {
    inputTokens: input === null ? null : Math.max(0, input - (cached ?? 0)),
    outputTokens: numberOf(stats?.output_tokens),
    cacheReadTokens: cached,
    cacheWriteTokens: null,
    costUsd: null,
    turns: null,
  };
}

const ATTEMPT = /^Attempt (\d+) failed(.*)/;

function readRetry(line: string, seen: GeminiTranscript): AgentEvent[] {
  const [, attempt, words] = ATTEMPT.exec(line) ?? [];
  if (attempt === undefined) return [];
  const { reason, message } = geminiFailure(words ?? '');
  seen.lastRetry = { reason, message: cutText(message.trim(), MAX_EVENT_TEXT) };
  return [{ type: 'retry', ...seen.lastRetry, attempt: Number(attempt) }];
}
