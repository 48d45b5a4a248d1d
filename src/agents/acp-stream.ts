/**
 * Lines of the ACP program -> agent events: `{"dir":…,"m":…}` is a message of the agent or to it, other objects are the
 * program's own words, what is no object came from the agent and is no message.
 */
import { MAX_EVENT_TEXT, type Usage } from '../events/event.ts';
import type { AcpProblem } from './acp-program.ts';
import { type AcpToolCalls, createAcpToolCalls } from './acp-tool-calls.ts';
import { acpTokens, acpUsage, costOf } from './acp-usage.ts';
import { type AcpFailure, type AcpTranscript, acpVerdict } from './acp-verdict.ts';
import type { AgentEvent, AgentReason } from './agent.ts';
import { readClaudeRetry } from './claude-retry.ts';
import { cutText } from './cut-text.ts';
import { fieldsOf, itemsOf, type JsonFields, numberOf, parseFields, textOf } from './json-fields.ts';
import type { LineReader } from './line-agent.ts';
import { nameOf, say, warn } from './line-events.ts';
import { outcomeOf } from './verdict.ts';

/** Characters of one message that are kept for the final text. */
const MAX_TEXT = 64 * 1024;
const MAX_DENIALS = 1000;

/** Known, and nothing to those who watch a build. */
const QUIET: ReadonlySet<string> = new Set([
  '$/cancel_request',
  '_auth/status_update',
  'available_commands_update',
  'config_option_update',
  'current_mode_update',
  'plan',
  'session_info_update',
  'user_message_chunk',
]);

/** Reasons that the program gives. */
const PROBLEMS: ReadonlySet<string> = new Set<AcpProblem['reason']>([
  'agent_error',
  'config',
  'crash',
  'idle',
  'unavailable',
]);

/** What was read so far; its size does not grow with the stream. */
interface AcpReading {
  readonly seen: AcpTranscript;
  readonly calls: AcpToolCalls;
  /** What we have asked and was not answered yet, by the request's id. A run asks five times at most. */
  readonly requests: Map<number, string>;
  /** The message or thought that is coming in pieces. */
  text: { readonly kind: 'message' | 'thought'; readonly id: string | null; unsaid: string } | null;
  /** US dollars that the session had cost before; null: unknown. */
  readonly costBefore: number | null;
}

export function createAcpReader(options: {
  readonly name: string;
  /** What earlier builds used of the session that is gone on with: agents tell the cost of all of it. */
  readonly earlierUsage: Usage | null;
  readonly isResumed: boolean;
}): LineReader {
  const seen: AcpTranscript = {
    sessionId: null,
    agentVersion: null,
    model: null,
    isPrompted: false,
    isCancelled: false,
    stopReason: null,
    firstFailure: null,
    lastRetry: null,
    problem: null,
    lastText: '',
    deniedTools: new Set(),
    usage: null,
  };
  const calls = createAcpToolCalls({
    onDenied(tool) {
      if (seen.deniedTools.size < MAX_DENIALS) seen.deniedTools.add(tool);
    },
    isCancelled: () => seen.isCancelled,
  });
  const costBefore = options.isResumed ? (options.earlierUsage?.costUsd ?? null) : 0;
  const reading: AcpReading = { seen, calls, requests: new Map(), text: null, costBefore };
  return {
    read: (line) => (line.trim() === '' ? [] : readLine(reading, line)),
    verdict: (end) =>
      outcomeOf(acpVerdict(options.name, seen, end), {
        finalText: seen.lastText.trim(),
        sessionId: seen.sessionId,
        usage: seen.usage,
        denials: [...seen.deniedTools],
      }),
  };
}

function readLine(reading: AcpReading, line: string): AgentEvent[] {
  const fields = parseFields(line);
  const message = fieldsOf(fields?.m);
  if (fields?.dir === 'agent->client' && message) return readReceived(reading, message);
  if (fields?.dir === 'client->agent' && message) return readSent(reading, message);
  if (fields?.type === 'warning') return warn(textOf(fields.message));
  if (fields?.type === 'asked') return reading.calls.referred(keyOf(fields.id), nameOf(fields.requestId) ?? '');
  if (fields?.type !== 'result') return [{ type: 'raw', name: 'not a message' }];
  reading.seen.problem = problemOf(fieldsOf(fields.problem));
  return [];
}

function problemOf(problem: JsonFields | null): AcpTranscript['problem'] {
  if (!problem) return null;
  const reason = textOf(problem.reason) ?? '';
  const message = cutText(textOf(problem.message) ?? '', MAX_EVENT_TEXT);
  return { reason: PROBLEMS.has(reason) ? (reason as AgentReason) : 'agent_error', message };
}

function readSent({ seen, calls, requests }: AcpReading, { id, method, params, result }: JsonFields): AgentEvent[] {
  if (typeof method !== 'string') return calls.answered(keyOf(id), fieldsOf(result) ?? {});
  const request = numberOf(id);
  if (request !== null) requests.set(request, method);
  const { modelId, value, sessionId } = fieldsOf(params) ?? {};
  if (method === 'session/set_model') seen.model = nameOf(modelId);
  if (method === 'session/set_config_option') seen.model = nameOf(value);
  if (method === 'session/cancel') seen.isCancelled = true;
  if (method !== 'session/prompt') return [];
  seen.isPrompted = true;
  seen.sessionId = nameOf(sessionId);
  return [{ type: 'started', sessionId: seen.sessionId, model: seen.model, agentVersion: seen.agentVersion }];
}

function readReceived(reading: AcpReading, message: JsonFields): AgentEvent[] {
  const { id, method } = message;
  if (typeof method !== 'string') return readAnswer(reading, message);
  const params = fieldsOf(message.params) ?? {};
  if (method === 'session/update') return readUpdate(reading, fieldsOf(params.update) ?? {});
  if (method === 'session/request_permission') return [...endText(reading), ...reading.calls.asked(keyOf(id), params)];
  if (method === '_claude/sdkMessage') return readRetry(reading, fieldsOf(params.message) ?? {});
  return QUIET.has(method) ? [] : [{ type: 'raw', name: nameOf(method) ?? '' }];
}

/** A message of Claude Code itself: its adapter passes on those that it was asked for. */
function readRetry({ seen }: AcpReading, message: JsonFields): AgentEvent[] {
  if (message.subtype !== 'api_retry') return [];
  const retry = readClaudeRetry(message);
  seen.lastRetry = retry;
  return [retry];
}

function readAnswer(reading: AcpReading, { id, error, result }: JsonFields): AgentEvent[] {
  const { seen, requests } = reading;
  const method = requests.get(numberOf(id) ?? 0);
  requests.delete(numberOf(id) ?? 0);
  if (method === undefined) return [{ type: 'raw', name: 'answer without a question' }];
  const answer = fieldsOf(result) ?? {};
  if (error !== undefined) seen.firstFailure ??= failureOf(method, fieldsOf(error) ?? {});
  else if (method === 'initialize') seen.agentVersion = nameOf(fieldsOf(answer.agentInfo)?.version);
  else if (method === 'session/new' || method === 'session/load') seen.model = modelOf(answer);
  else if (method === 'session/prompt') return endTurn(reading, answer);
  return method === 'session/prompt' ? endOutput(reading) : [];
}

function failureOf(method: string, { code, message, data }: JsonFields): AcpFailure {
  const details = textOf(fieldsOf(data)?.details) ?? textOf(data);
  const text = cutText([textOf(message), details].filter(Boolean).join(': '), MAX_EVENT_TEXT);
  return { method, code: numberOf(code), text: text || 'The agent answered with an error.' };
}

function endTurn(reading: AcpReading, answer: JsonFields): AgentEvent[] {
  const { seen } = reading;
  const events = endOutput(reading);
  seen.stopReason = nameOf(answer.stopReason) ?? 'nothing';
  const tokens = acpTokens(answer);
  if (tokens) {
    seen.usage = acpUsage(tokens, seen.usage?.costUsd ?? null);
    events.push({ type: 'usage', usage: seen.usage });
  }
  return [...events, { type: 'turn_finished' }];
}

function endOutput(reading: AcpReading): AgentEvent[] {
  return [...endText(reading), ...reading.calls.settle()];
}

function readUpdate(reading: AcpReading, update: JsonFields): AgentEvent[] {
  // What a session that is loaded tells of itself happened in an earlier build.
  if (!reading.seen.isPrompted) return [];
  switch (update.sessionUpdate) {
    case 'agent_message_chunk':
      reading.seen.lastRetry = null;
      return addText(reading, 'message', update);
    case 'agent_thought_chunk':
      reading.seen.lastRetry = null;
      return addText(reading, 'thought', update);
    case 'tool_call':
    case 'tool_call_update':
      reading.seen.lastRetry = null;
      return [...endText(reading), ...reading.calls.update(update)];
    case 'usage_update':
      return [...reading.calls.settle(), ...readCost(reading, update)];
    default:
      break;
  }
  const kind = nameOf(update.sessionUpdate) ?? 'without kind';
  return QUIET.has(kind) ? [] : [{ type: 'raw', name: `session/update ${kind}` }];
}

/** Pieces of one message become one event, or several where it is longer than an event may be. */
function addText(reading: AcpReading, kind: 'message' | 'thought', { messageId, content }: JsonFields): AgentEvent[] {
  const { seen } = reading;
  const id = nameOf(messageId);
  const events = reading.calls.settle();
  if (reading.text?.kind !== kind || reading.text.id !== id) {
    events.push(...endText(reading));
    if (kind === 'message') seen.lastText = '';
  }
  reading.text ??= { kind, id, unsaid: '' };
  const piece = fieldsOf(content);
  const text = textOf(piece?.text) ?? `[${nameOf(piece?.type) ?? 'content'}]`;
  if (kind === 'message') seen.lastText += text.slice(0, MAX_TEXT - seen.lastText.length);
  const unsaid = reading.text.unsaid + text;
  const whole = unsaid.length - (unsaid.length % MAX_EVENT_TEXT);
  for (let at = 0; at < whole; at += MAX_EVENT_TEXT) events.push(...say(kind, unsaid.slice(at, at + MAX_EVENT_TEXT)));
  reading.text.unsaid = unsaid.slice(whole);
  return events;
}

function endText(reading: AcpReading): AgentEvent[] {
  const ended = reading.text;
  reading.text = null;
  return ended ? say(ended.kind, ended.unsaid.trim()) : [];
}

/** The update tells the cost of the whole session so far. */
function readCost(reading: AcpReading, update: JsonFields): AgentEvent[] {
  const { seen, costBefore } = reading;
  const total = costOf(update);
  if (total === null || costBefore === null) return [];
  seen.usage = acpUsage(seen.usage, Math.max(0, total - costBefore));
  return [...endText(reading), { type: 'usage', usage: seen.usage }];
}

/** The model of a session, as one of its settings or in a list of its own. */
function modelOf(session: JsonFields): string | null {
  const setting = itemsOf(session.configOptions).find(({ category }) => category === 'model');
  return nameOf(setting?.currentValue) ?? nameOf(fieldsOf(session.models)?.currentModelId);
}

/** Ids of the agent's requests are numbers or texts. */
function keyOf(id: unknown): string {
  return cutText(JSON.stringify(id) ?? '', MAX_EVENT_TEXT);
}
