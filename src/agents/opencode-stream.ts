/**
 * Lines of the OpenCode program -> agent events. They are events of OpenCode's server, as `opencode-relay.ts` lets them
 * through, and a few of the program's own; a kind that nobody knows yet is `raw`.
 */
import { type AgentRequest, MAX_EVENT_TEXT, type Usage } from '../events/event.ts';
import type { AgentEvent, AgentTask } from './agent.ts';
import { cutText } from './cut-text.ts';
import { fieldsOf, type JsonFields, numberOf, parseFields, textOf } from './json-fields.ts';
import type { LineReader } from './line-agent.ts';
import { nameOf, say, toolCall, toolResult, warn } from './line-events.ts';
import { readError, retryReason } from './opencode-reason.ts';
import { permissionRequest, questionRequest } from './opencode-requests.ts';
import { type OpenCodeTranscript, openCodeVerdict } from './opencode-verdict.ts';
import { outcomeOf } from './verdict.ts';

const MAX_DENIALS = 1000;
const DENIED = /rejected permission|dismissed this question|rule which prevents/i;
const LIMITS = ['max_turns', 'budget', 'retries'] as const;
/** What the program itself can fail for. */
const FAILURES = ['config', 'not_found', 'unavailable'] as const;

/** Of a run that asks people `asks`. */
export function createOpenCodeReader(asks: AgentTask['asks']): LineReader {
  const seen: OpenCodeTranscript = {
    sessionId: null,
    result: false,
    limit: null,
    failure: null,
    last: null,
    error: null,
    lastRetry: null,
    lastText: { id: '', text: '' },
    denied: new Set(),
    usage: null,
  };
  return {
    read: (line) => (line.trim() === '' ? [] : readLine(line, seen, asks)),
    verdict: (end) =>
      outcomeOf(openCodeVerdict(seen, end), {
        finalText: seen.lastText.text,
        sessionId: seen.sessionId,
        usage: seen.usage,
        denials: [...seen.denied],
      }),
  };
}

function readLine(line: string, seen: OpenCodeTranscript, asks: AgentTask['asks']): AgentEvent[] {
  const fields = parseFields(line);
  if (!fields) return [{ type: 'raw', name: 'not an object' }];
  const properties = fieldsOf(fields.properties) ?? {};
  switch (fields.type) {
    case 'started':
      seen.sessionId = nameOf(fields.sessionId);
      return [
        {
          type: 'started',
          sessionId: seen.sessionId,
          model: nameOf(fields.model),
          agentVersion: nameOf(fields.version),
        },
      ];
    case 'limit':
      seen.limit = LIMITS.find((limit) => limit === fields.limit) ?? null;
      return [];
    case 'failure': {
      const reason = FAILURES.find((known) => known === fields.reason) ?? 'agent_error';
      seen.failure = { reason, message: textOf(fields.message) ?? 'OpenCode failed.' };
      return [];
    }
    case 'result':
      seen.result = true;
      return [{ type: 'turn_finished' }];
    case 'message.updated':
      return readMessage(fieldsOf(properties.info) ?? {}, seen);
    case 'message.part.updated':
      return readPart(fieldsOf(properties.part) ?? {}, seen);
    case 'session.status':
      return readRetry(fieldsOf(properties.status) ?? {}, seen);
    case 'session.error':
      return readSessionError(properties, seen);
    case 'session.compacted':
      return [];
    case 'took':
      return [{ type: 'message_taken', messageId: nameOf(fields.messageId) ?? '' }];
    default:
      return readRequest(fields, asks) ?? [{ type: 'raw', name: nameOf(fields.type) || 'without type' }];
  }
}

/** What OpenCode asks, and that it does not wait any more. What it may not ask people, the program has refused. */
function readRequest({ type, properties }: JsonFields, asks: AgentTask['asks']): AgentEvent[] | null {
  const request = fieldsOf(properties) ?? {};
  switch (type) {
    case 'permission.asked': {
      if (asks.permissions) return askPeople(request, permissionRequest(request));
      return warn(`OpenCode asked for permission (${textOf(request.permission) ?? ''}); it was refused.`);
    }
    case 'question.asked':
      if (asks.questions) return askPeople(request, questionRequest(request));
      return warn('OpenCode asked a question; nobody was there to answer.');
    case 'permission.replied':
    case 'question.rejected':
    case 'question.replied': {
      const requestId = nameOf(request.requestID);
      const isPeoples = asks.permissions || asks.questions;
      return isPeoples && requestId !== null ? [{ type: 'request_closed', requestId }] : [];
    }
    default:
      return null;
  }
}

function askPeople({ id }: JsonFields, request: AgentRequest): AgentEvent[] {
  return [{ type: 'asked', requestId: nameOf(id) ?? '', request }];
}

/** Of subagents only what they did and used counts, not how they ended or what they answered. */
function isMain(sessionId: unknown, seen: OpenCodeTranscript): boolean {
  return seen.sessionId === sessionId;
}

/** Ids sort by time: what was told late, after a lost stream, is not the last word for that. */
function readMessage(info: JsonFields, seen: OpenCodeTranscript): AgentEvent[] {
  const id = nameOf(info.id) ?? '';
  if (info.role !== 'assistant' || !isMain(info.sessionID, seen) || id < (seen.last?.id ?? '')) return [];
  seen.last = { id, finish: nameOf(info.finish), error: readError(info.error) };
  return [];
}

function readPart(part: JsonFields, seen: OpenCodeTranscript): AgentEvent[] {
  const text = textOf(part.text) ?? '';
  switch (part.type) {
    case 'text':
      seen.lastRetry = null;
      keepLastText(part, text, seen);
      return say('message', text);
    case 'reasoning':
      seen.lastRetry = null;
      return say('thought', text);
    case 'tool':
      return readTool(part, seen);
    case 'step-finish':
      seen.lastRetry = null;
      seen.usage = addStep(seen.usage, part, isMain(part.sessionID, seen) ? 1 : 0);
      return [{ type: 'usage', usage: seen.usage }];
    default:
      return [{ type: 'raw', name: `part/${nameOf(part.type) ?? 'without type'}` }];
  }
}

function keepLastText(part: JsonFields, text: string, seen: OpenCodeTranscript): void {
  const id = nameOf(part.id) ?? '';
  if (isMain(part.sessionID, seen) && id >= seen.lastText.id) seen.lastText = { id, text };
}

function readTool(part: JsonFields, seen: OpenCodeTranscript): AgentEvent[] {
  const state = fieldsOf(part.state) ?? {};
  const callId = nameOf(part.callID);
  const tool = nameOf(part.tool);
  if (state.status === 'running') return [toolCall({ callId, tool, input: state.input })];
  if (state.status === 'error') {
    const output = textOf(state.error);
    const status = errorStatus(state, output ?? '');
    if (status === 'denied' && seen.denied.size < MAX_DENIALS) seen.denied.add(tool ?? '');
    return [toolResult({ callId, status, output })];
  }
  const exit = numberOf(fieldsOf(state.metadata)?.exit);
  const output = textOf(state.output);
  if (exit === null || exit === 0) return [toolResult({ callId, status: 'ok', output })];
  return [toolResult({ callId, status: 'failed', output: `${output ?? ''}\nexit code ${exit}`.trimStart() })];
}

function errorStatus(state: JsonFields, error: string) {
  if (DENIED.test(error)) return 'denied';
  return fieldsOf(state.metadata)?.interrupted === true || /^tool execution aborted/i.test(error)
    ? 'aborted'
    : 'failed';
}

function readRetry(status: JsonFields, seen: OpenCodeTranscript): AgentEvent[] {
  const said = cutText(textOf(status.message) ?? '', MAX_EVENT_TEXT);
  const reason = retryReason(said);
  const message = `The provider refused OpenCode: ${said}`;
  seen.lastRetry = { reason, message };
  return [{ type: 'retry', reason, message, attempt: numberOf(status.attempt) }];
}

function readSessionError(properties: JsonFields, seen: OpenCodeTranscript): AgentEvent[] {
  const error = readError(properties.error);
  if (!error || error.name === 'MessageAbortedError') return [];
  if (isMain(properties.sessionID, seen)) seen.error = error;
  return warn(`${error.name}: ${error.text}`);
}

/**
 * The step's tokens and cost are its own. OpenCode says 0 for a model whose price it does not know; a free one cannot be
 * told from that, so nothing is known of its cost. A step of a subagent is no turn of the build's.
 */
function addStep(sum: Usage | null, part: JsonFields, turns: number): Usage {
  const tokens = fieldsOf(part.tokens);
  const cache = fieldsOf(tokens?.cache);
  const costUsd = (sum?.costUsd ?? 0) + (numberOf(part.cost) ?? 0);
  const add = (before: number | null | undefined, more: unknown) => (before ?? 0) + (numberOf(more) ?? 0);
  return {
    inputTokens: add(sum?.inputTokens, tokens?.input),
    outputTokens: add(add(sum?.outputTokens, tokens?.output), tokens?.reasoning),
    cacheReadTokens: add(sum?.cacheReadTokens, cache?.read),
    cacheWriteTokens: add(sum?.cacheWriteTokens, cache?.write),
    costUsd: costUsd > 0 ? costUsd : null,
    turns: (sum?.turns ?? 0) + turns,
  };
}
