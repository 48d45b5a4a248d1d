/**
 * Lines of `codex exec --json` -> agent events. A thing that Codex does is an `item` that is started, updated and
 * completed; an `error` line is no end, it is what Codex does about it that counts.
 */
import type { Usage } from '../events/event.ts';
import type { AgentEvent } from './agent.ts';
import { type CodexTranscript, codexFailure, codexVerdict } from './codex-verdict.ts';
import { fieldsOf, itemsOf, type JsonFields, numberOf, parseFields, textOf } from './json-fields.ts';
import type { LineReader } from './line-agent.ts';
import { nameOf, say, toolCall, toolResult, warn } from './line-events.ts';
import { outcomeOf } from './verdict.ts';

/** Calls that may be open at the same time, and tools that were denied. */
const MAX_CALLS = 1000;

/** Items that are known and say nothing to those who watch a build. */
const QUIET: ReadonlySet<string> = new Set(['todo_list']);

/** Items that are tools: their name and what they are given. */
const TOOLS: Readonly<Record<string, (item: JsonFields) => { tool: string; input: unknown }>> = {
  command_execution: ({ command }) => ({ tool: 'shell', input: { command } }),
  file_change: ({ changes }) => ({ tool: 'apply_patch', input: { changes } }),
  mcp_tool_call: (item) => ({ tool: `${nameOf(item.server)}.${nameOf(item.tool)}`, input: item.arguments }),
  web_search: ({ query }) => ({ tool: 'web_search', input: { query } }),
  collab_tool_call: ({ tool, prompt }) => ({ tool: nameOf(tool) ?? 'collab', input: { prompt } }),
};

export interface CodexReaderOptions {
  /** What was asked for: Codex does not say which model it uses. */
  readonly model: string | null;
  /** What earlier builds used of the session that this one goes on with. */
  readonly sessionUsage: Usage | null;
}

export function createCodexReader({ model, sessionUsage }: CodexReaderOptions): LineReader {
  const seen: CodexTranscript = {
    sessionId: null,
    turn: 'none',
    failure: null,
    lastError: null,
    lastRetry: null,
    lastText: '',
    deniedTools: new Set(),
    usage: null,
  };
  const openCalls = new Set<string>();

  function readLine(line: string): AgentEvent[] {
    const fields = parseFields(line);
    if (!fields) return [{ type: 'raw', name: 'not an object' }];
    switch (fields.type) {
      case 'thread.started':
        seen.sessionId = nameOf(fields.thread_id);
        return [{ type: 'started', sessionId: seen.sessionId, model, agentVersion: null }];
      case 'turn.started':
        seen.turn = 'open';
        return [];
      case 'item.started':
      case 'item.updated':
      case 'item.completed':
        return readItem(fieldsOf(fields.item) ?? {}, { seen, openCalls, phase: fields.type });
      case 'error':
        return readError(textOf(fields.message) ?? '', seen);
      case 'turn.completed':
        seen.turn = 'completed';
        seen.usage = turnUsage(fieldsOf(fields.usage), sessionUsage);
        return [{ type: 'usage', usage: seen.usage }, { type: 'turn_finished' }];
      case 'turn.failed':
        seen.turn = 'failed';
        seen.failure = textOf(fieldsOf(fields.error)?.message) ?? 'Codex did not say why.';
        return [{ type: 'turn_finished' }];
      default:
        return [{ type: 'raw', name: nameOf(fields.type) ?? 'without type' }];
    }
  }

  return {
    read: (line) => (line.trim() === '' ? [] : readLine(line)),
    verdict: (end) =>
      outcomeOf(codexVerdict(seen, end), {
        finalText: seen.lastText,
        sessionId: seen.sessionId,
        usage: seen.usage,
        denials: [...seen.deniedTools],
      }),
  };
}

interface ItemContext {
  readonly seen: CodexTranscript;
  readonly openCalls: Set<string>;
  readonly phase: 'item.started' | 'item.updated' | 'item.completed';
}

function readItem(item: JsonFields, { seen, openCalls, phase }: ItemContext): AgentEvent[] {
  const type = nameOf(item.type) ?? '';
  const describe = Object.hasOwn(TOOLS, type) ? TOOLS[type] : undefined;
  if (describe) {
    seen.lastRetry = null;
    return readTool(item, { ...describe(item), seen, openCalls, phase });
  }
  if (phase !== 'item.completed' || QUIET.has(type)) return [];
  const text = textOf(item.text) ?? '';
  switch (type) {
    case 'agent_message':
      seen.lastRetry = null;
      seen.lastText = text;
      return say('message', text);
    case 'reasoning':
    case 'plan':
      seen.lastRetry = null;
      return say('thought', text);
    case 'error':
      return warn(textOf(item.message));
    default:
      return [{ type: 'raw', name: `item/${type}` }];
  }
}

/** Some tools are only told when they are done; every result has its call before it all the same. */
function readTool(item: JsonFields, context: ItemContext & { tool: string; input: unknown }): AgentEvent[] {
  const { openCalls, phase, tool, input, seen } = context;
  const callId = nameOf(item.id) ?? '';
  const isNew = !openCalls.has(callId);
  const call = isNew ? [toolCall({ callId, tool, input })] : [];
  if (phase !== 'item.completed') {
    if (isNew && openCalls.size >= MAX_CALLS) return [];
    openCalls.add(callId);
    return call;
  }
  openCalls.delete(callId);
  const status = toolStatus(item);
  if (status === 'denied' && seen.deniedTools.size < MAX_CALLS) seen.deniedTools.add(tool);
  return [...call, toolResult({ callId, status, output: outputOf(item) })];
}

function toolStatus({ status, exit_code }: JsonFields) {
  if (status === 'declined') return 'denied';
  if (status === 'failed') return 'failed';
  if (status === 'in_progress') return 'aborted';
  return (numberOf(exit_code) ?? 0) === 0 ? 'ok' : 'failed';
}

function outputOf(item: JsonFields): string | null {
  const error = textOf(fieldsOf(item.error)?.message);
  if (error !== null) return error;
  const content = fieldsOf(item.result)?.content;
  if (content !== undefined) return itemsOf(content).map(partText).join('\n');
  const output = textOf(item.aggregated_output);
  const code = numberOf(item.exit_code) ?? 0;
  return code === 0 ? output : `Exit code ${code}\n${output ?? ''}`;
}

function partText(part: JsonFields): string {
  return textOf(part.text) ?? `[${nameOf(part.type) ?? 'part'}]`;
}

const RECONNECTING = /^Reconnecting\.\.\. (\d+)\/\d+(?: \((.*)\))?$/s;

/** Codex tries again, or gives up: then `turn.failed` follows. */
function readError(message: string, seen: CodexTranscript): AgentEvent[] {
  const [, attempt, cause] = RECONNECTING.exec(message) ?? [];
  if (attempt === undefined) {
    seen.lastError = message;
    return [];
  }
  seen.lastRetry = codexFailure(cause ?? message);
  return [{ type: 'retry', ...seen.lastRetry, attempt: Number(attempt) }];
}

/** Codex counts the whole session, also what earlier builds have used and were billed for. */
function turnUsage(total: JsonFields | null, earlier: Usage | null): Usage {
  const cached = numberOf(total?.cached_input_tokens);
  const input = numberOf(total?.input_tokens);
  return {
    inputTokens: since(input === null ? null : input - (cached ?? 0), earlier?.inputTokens),
    outputTokens: since(numberOf(total?.output_tokens), earlier?.outputTokens),
    cacheReadTokens: since(cached, earlier?.cacheReadTokens),
    cacheWriteTokens: since(numberOf(total?.cache_write_input_tokens), earlier?.cacheWriteTokens),
    costUsd: null,
    turns: null,
  };
}

/** What nobody was billed for yet is billed now. */
function since(total: number | null, earlier: number | null | undefined): number | null {
  return total === null ? null : Math.max(0, total - (earlier ?? 0));
}
