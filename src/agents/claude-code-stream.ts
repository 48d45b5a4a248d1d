/**
 * Lines of `claude -p --output-format stream-json` -> agent events. Only the dozen kinds of lines that matter are
 * understood, field by field; a kind that nobody knows yet is `raw`, for releases add some every week.
 */
import { MAX_EVENT_TEXT, type ModelUsage, type Usage } from '../events/event.ts';
import { addUsage } from '../events/usage.ts';
import type { AgentEvent, AgentTask, RunEnd } from './agent.ts';
import { createClaudeRequestReader } from './claude-code-requests.ts';
import { type ClaudeResult, type ClaudeTranscript, claudeVerdict } from './claude-code-verdict.ts';
import { readClaudeRetry } from './claude-retry.ts';
import { cutText } from './cut-text.ts';
import { fieldsOf, itemsOf, type JsonFields, numberOf, parseFields, textOf } from './json-fields.ts';
import type { LineReader } from './line-agent.ts';
import { nameOf, say, toolCall, toolResult, warn } from './line-events.ts';
import { outcomeOf } from './verdict.ts';

const MAX_DENIALS = 1000;

/** Lines that are known and say nothing to those who watch a build. */
const QUIET: ReadonlySet<string> = new Set([
  'command_lifecycle',
  'control_response',
  'stream_event',
  'system/background_tasks_changed',
  'system/compact_boundary',
  'system/hook_response',
  'system/hook_started',
  'system/session_state_changed',
  'system/status',
  'system/task_notification',
  'system/task_progress',
  'system/task_started',
  'system/task_updated',
  'system/thinking_tokens',
  'system/ui_invalidate',
]);

/** `asks`: as in the task. */
export function createClaudeReader(asks: AgentTask['asks']): LineReader {
  const requests = createClaudeRequestReader(asks);
  const seen: ClaudeTranscript = {
    sessionId: null,
    turnOpen: false,
    firstFailure: null,
    lastResult: null,
    lastRetry: null,
    apiError: null,
    lastText: '',
    deniedTools: new Set(),
    deniedCalls: new Set(),
    usage: null,
  };
  function read(line: string): readonly AgentEvent[] {
    if (line.trim() === '') return [];
    const fields = parseFields(line);
    return fields ? (requests.read(fields) ?? readFields(fields, seen)) : [{ type: 'raw', name: 'not an object' }];
  }
  return {
    read,
    verdict: (end: RunEnd) =>
      outcomeOf(claudeVerdict(seen, end), {
        finalText: seen.lastText,
        sessionId: seen.sessionId,
        usage: seen.usage,
        denials: [...seen.deniedTools],
      }),
  };
}

function readFields(fields: JsonFields, seen: ClaudeTranscript): AgentEvent[] {
  switch (kindOf(fields)) {
    case 'system/init':
      return readInit(fields, seen);
    case 'assistant':
      return readAssistant(fields, seen);
    case 'user':
      return readUser(fields, seen);
    case 'system/api_retry':
      return readRetry(fields, seen);
    case 'system/permission_denied':
      return readDenial(fields, seen);
    case 'system/informational':
    case 'system/model_refusal_no_fallback':
      return warn(textOf(fields.content));
    default:
      break;
  }
  if (fields.type === 'result') return readResult(fields, seen);
  return QUIET.has(kindOf(fields)) ? [] : [{ type: 'raw', name: kindOf(fields) }];
}

function kindOf(fields: JsonFields): string {
  const type = textOf(fields.type) ?? 'without type';
  const subtype = type === 'system' || type === 'result' ? textOf(fields.subtype) : null;
  return nameOf(subtype === null ? type : `${type}/${subtype}`) ?? '';
}

/** Comes once per turn, not once per run, and is not always the first line. */
function readInit(fields: JsonFields, seen: ClaudeTranscript): AgentEvent[] {
  seen.sessionId = nameOf(fields.session_id) ?? seen.sessionId;
  seen.turnOpen = true;
  return [
    {
      type: 'started',
      sessionId: seen.sessionId,
      model: nameOf(fields.model),
      agentVersion: nameOf(fields.claude_code_version),
    },
  ];
}

/** One line per block of a message. With `error` it is Claude Code itself that speaks, not the model. */
function readAssistant(fields: JsonFields, seen: ClaudeTranscript): AgentEvent[] {
  const error = nameOf(fields.error);
  const ofSubagent = textOf(fields.parent_tool_use_id) !== null;
  const answered = error === null && fieldsOf(fields.message)?.model !== '<synthetic>';
  seen.turnOpen = true;
  if (error !== null) seen.apiError = error;
  if (answered) seen.lastRetry = null;
  return itemsOf(fieldsOf(fields.message)?.content).flatMap((block): AgentEvent[] => {
    const text = textOf(block.text) ?? '';
    if (block.type === 'text' && answered && !ofSubagent) seen.lastText = text;
    if (block.type === 'text') return say('message', text);
    if (block.type === 'thinking') return say('thought', textOf(block.thinking) ?? '');
    if (block.type !== 'tool_use') return [{ type: 'raw', name: `assistant/${nameOf(block.type) ?? 'block'}` }];
    return [toolCall({ callId: nameOf(block.id), tool: nameOf(block.name), input: block.input })];
  });
}

/** Results of tools. Texts in a user line are what Claude Code tells the model, not news. */
function readUser(fields: JsonFields, seen: ClaudeTranscript): AgentEvent[] {
  const meta = new Map(itemsOf(fields.tool_result_meta).map((item) => [textOf(item.id), item]));
  return itemsOf(fieldsOf(fields.message)?.content).flatMap((block): AgentEvent[] => {
    if (block.type !== 'tool_result') return [];
    const status = toolStatus(block, meta.get(textOf(block.tool_use_id)), seen);
    return [toolResult({ callId: nameOf(block.tool_use_id), status, output: outputOf(block.content) })];
  });
}

function toolStatus(block: JsonFields, meta: JsonFields | undefined, seen: ClaudeTranscript) {
  if (block.is_error !== true) return 'ok';
  const refused = fieldsOf(meta?.permission_decision)?.decision === 'reject';
  if (refused || seen.deniedCalls.has(nameOf(block.tool_use_id) ?? '')) return 'denied';
  return textOf(meta?.non_execution_kind) === null ? 'failed' : 'aborted';
}

function outputOf(content: unknown): string | null {
  if (!Array.isArray(content)) return textOf(content);
  return itemsOf(content)
    .map((part) => textOf(part.text) ?? `[${nameOf(part.type) ?? 'part'}]`)
    .join('\n');
}

function readRetry(fields: JsonFields, seen: ClaudeTranscript): AgentEvent[] {
  const retry = readClaudeRetry(fields);
  seen.lastRetry = retry;
  return [retry];
}

function readDenial(fields: JsonFields, seen: ClaudeTranscript): AgentEvent[] {
  const tool = nameOf(fields.tool_name) ?? 'a tool';
  const callId = nameOf(fields.tool_use_id);
  addBounded(seen.deniedTools, tool);
  if (callId !== null) addBounded(seen.deniedCalls, callId);
  return warn(`${tool} was denied: ${textOf(fields.message) ?? 'no reason given'}`);
}

/** The end of a turn, not of the run: a subagent or a background command begins another one. */
function readResult(fields: JsonFields, seen: ClaudeTranscript): AgentEvent[] {
  const result: ClaudeResult = {
    subtype: nameOf(fields.subtype) ?? '',
    isError: fields.is_error === true,
    terminalReason: nameOf(fields.terminal_reason) ?? '',
    stopReason: nameOf(fields.stop_reason),
    apiStatus: numberOf(fields.api_error_status),
    apiError: nameOf(fields.api_error) ?? seen.apiError,
    text: cutText(textOf(fields.result) ?? firstText(fields.errors) ?? '', MAX_EVENT_TEXT),
    startupFailure: nameOf(fields.startup_failure_reason),
    localCommand: nameOf(fields.local_command),
  };
  seen.turnOpen = false;
  seen.lastResult = result;
  if (result.isError || result.subtype !== 'success') seen.firstFailure ??= result;
  else if (textOf(fields.result)) seen.lastText = textOf(fields.result) ?? '';
  for (const denial of itemsOf(fields.permission_denials)) addBounded(seen.deniedTools, nameOf(denial.tool_name) ?? '');
  seen.usage = addUsage(seen.usage, turnUsage(fields));
  return [{ type: 'usage', usage: seen.usage }, { type: 'turn_finished' }];
}

function modelUsage(model: string, part: JsonFields): ModelUsage {
  return {
    model: nameOf(model) ?? '',
    inputTokens: numberOf(part.inputTokens),
    outputTokens: numberOf(part.outputTokens),
    cacheReadTokens: numberOf(part.cacheReadInputTokens),
    cacheWriteTokens: numberOf(part.cacheCreationInputTokens),
    costUsd: numberOf(part.costUSD),
  };
}

/**
 * `total_cost_usd` and `modelUsage` count the whole session, also what an earlier build paid for: only
 * `model_usage_since_last_result` is what this turn cost. A release without it tells tokens, and no cost.
 */
function turnUsage(fields: JsonFields): Usage {
  const turns = numberOf(fields.num_turns);
  const models = fieldsOf(fields.model_usage_since_last_result);
  if (!models) {
    const tokens = fieldsOf(fields.usage);
    return {
      inputTokens: numberOf(tokens?.input_tokens),
      outputTokens: numberOf(tokens?.output_tokens),
      cacheReadTokens: numberOf(tokens?.cache_read_input_tokens),
      cacheWriteTokens: numberOf(tokens?.cache_creation_input_tokens),
      costUsd: numberOf(fields.total_cost_usd) === 0 ? 0 : null,
      turns,
    };
  }
  const parts = Object.entries(models).map(([model, part]) => modelUsage(model, fieldsOf(part) ?? {}));
  const nothing = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0, costUsd: 0, turns };
  return parts.reduce<Usage>((sum, part) => addUsage(sum, { ...part, turns: 0, models: [part] }), nothing);
}

function firstText(value: unknown): string | null {
  return Array.isArray(value) ? textOf(value[0]) : null;
}

function addBounded(set: Set<string>, item: string): void {
  if (item !== '' && set.size < MAX_DENIALS) set.add(item);
}
