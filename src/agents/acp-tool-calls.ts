/**
 * The tool calls of an ACP agent as events: one when a call's input is known, one when it has ended. Agents announce a
 * call before its input has come, tell the rest in updates, or begin with the request for a permission.
 */
import { MAX_EVENT_TEXT } from '../events/event.ts';
import { isAllowed } from './acp-permission.ts';
import type { AgentEvent } from './agent.ts';
import { cutJson } from './cut-json.ts';
import { fieldsOf, itemsOf, type JsonFields, numberOf, textOf } from './json-fields.ts';
import { nameOf, toolCall, toolResult, warn } from './line-events.ts';

/** Calls, and requests for a permission, that are open at a time; the oldest is forgotten. */
const MAX_OPEN = 200;
/** Ended calls of which a late update tells nothing new. */
const MAX_ENDED = 1000;
/** One more than an event holds: it is told that it was cut. */
const MAX_OUTPUT = MAX_EVENT_TEXT + 1;

const OUTSIDE = "it would have changed files outside of the build's folders";

type ToolStatus = Parameters<typeof toolResult>[0]['status'];

export interface AcpToolCalls {
  /** `tool_call`, `tool_call_update`. */
  update(fields: JsonFields): AgentEvent[];
  /** The agent asks for a permission, by a request with this id. */
  asked(id: string, params: JsonFields): AgentEvent[];
  /** People are asked about it, and call it `requestId`. */
  referred(id: string, requestId: string): AgentEvent[];
  /** What it was answered. */
  answered(id: string, result: JsonFields): AgentEvent[];
  /** Something else happened: the input of calls that were announced is complete. */
  settle(): AgentEvent[];
}

interface OpenPermission {
  readonly call: OpenCall;
  readonly params: JsonFields;
  /** Null: a rule decides. */
  readonly requestId: string | null;
}

interface OpenCall {
  readonly callId: string;
  tool: string;
  input: unknown;
  /** It is what the tool was given, not only its title. */
  hasInput: boolean;
  /** What its terminal has shown so far. */
  shown: string;
  isTold: boolean;
}

export function createAcpToolCalls(options: {
  readonly onDenied: (tool: string) => void;
  /** The turn was cancelled: what fails from then on was not let end. */
  readonly isCancelled: () => boolean;
}): AcpToolCalls {
  const open = new Map<string, OpenCall>();
  const ended = new Set<string>();
  const permissions = new Map<string, OpenPermission>();

  function merge(fields: JsonFields): OpenCall {
    const callId = nameOf(fields.toolCallId) ?? '';
    const call = open.get(callId) ?? { callId, tool: '', input: null, hasInput: false, shown: '', isTold: false };
    if (!open.has(callId)) setBounded(open, callId, call);
    call.tool = nameOf(fields.name) ?? (call.tool || (nameOf(fields.kind) ?? nameOf(fields.title) ?? 'tool'));
    const input = inputOf(fields);
    const title = fieldsOf(fields.rawInput) ? null : nameOf(fields.title);
    if (input !== null) call.input = input;
    else if (!call.hasInput && title !== null) call.input = { title };
    call.hasInput ||= input !== null;
    const delta = textOf(fieldsOf(fieldsOf(fields._meta)?.terminal_output_delta)?.data) ?? '';
    call.shown += delta.slice(0, MAX_OUTPUT - call.shown.length);
    return call;
  }

  function tell(call: OpenCall): AgentEvent[] {
    if (call.isTold) return [];
    call.isTold = true;
    return [toolCall(call)];
  }

  function end(call: OpenCall, status: ToolStatus, output: string | null): AgentEvent[] {
    open.delete(call.callId);
    ended.add(call.callId);
    if (ended.size > MAX_ENDED) ended.delete(ended.values().next().value ?? '');
    return [...tell(call), toolResult({ callId: call.callId, status, output: output ?? (call.shown || null) })];
  }

  return {
    update(fields) {
      if (ended.has(nameOf(fields.toolCallId) ?? '')) return [];
      const call = merge(fields);
      const output = outputOf(fields);
      if (fields.status === 'completed') return end(call, exitCodeOf(fields) === 0 ? 'ok' : 'failed', output);
      if (fields.status === 'failed') return end(call, options.isCancelled() ? 'aborted' : 'failed', output);
      return fields.status === 'in_progress' ? tell(call) : [];
    },
    asked(id, params) {
      const call = merge(fieldsOf(params.toolCall) ?? {});
      const title = nameOf(fieldsOf(params.toolCall)?.title);
      setBounded(permissions, id, { call, params: { options: params.options, title }, requestId: null });
      return tell(call);
    },
    referred(id, requestId) {
      const asked = permissions.get(id);
      if (!asked) return [];
      const { call, params } = asked;
      permissions.set(id, { ...asked, requestId });
      const { tool, input } = call;
      return [
        {
          type: 'asked',
          requestId,
          request: { kind: 'PERMISSION', tool, input, description: textOf(params.title) },
        },
      ];
    },
    answered(id, result) {
      const asked = permissions.get(id);
      permissions.delete(id);
      if (!asked) return [];
      const { call, params, requestId } = asked;
      const closed: AgentEvent[] = requestId === null ? [] : [{ type: 'request_closed', requestId }];
      // Nobody has decided where the turn was cancelled, or the agent did not wait.
      const isUndecided = fieldsOf(result.outcome)?.outcome === 'cancelled';
      if (isUndecided && (requestId !== null || options.isCancelled())) return closed;
      if (isAllowed(params, result)) return closed;
      options.onDenied(call.tool);
      const news = requestId === null ? warn(`${call.tool} was denied: ${whyDenied(params)}.`) : closed;
      return ended.has(call.callId) ? news : [...news, ...end(call, 'denied', null)];
    },
    settle: () => [...open.values()].flatMap(tell),
  };
}

/** By rule. */
function whyDenied(request: JsonFields): string {
  const canBeAllowed = itemsOf(request.options).some(({ kind }) => textOf(kind)?.startsWith('allow'));
  return canBeAllowed ? OUTSIDE : 'the agent offered no way to allow it';
}

/** Null when nothing is said of it. */
function inputOf({ rawInput }: JsonFields): unknown {
  const input = fieldsOf(rawInput);
  return input && Object.keys(input).length > 0 ? cutJson(input, MAX_EVENT_TEXT) : null;
}

/** What the update that ends a call says of its output: before that, agents show what the tool is to do. */
function outputOf({ rawOutput, content }: JsonFields): string | null {
  const shown = itemsOf(content).flatMap((item) => textOf(fieldsOf(item.content)?.text) ?? []);
  const raw = fieldsOf(rawOutput);
  const told = textOf(rawOutput) ?? textOf(raw?.output) ?? textOf(raw?.error);
  return told ?? (shown.length > 0 ? shown.join('\n') : null);
}

/** Codex and OpenCode call a command completed that has failed. */
function exitCodeOf({ rawOutput, _meta }: JsonFields): number {
  const terminal = fieldsOf(fieldsOf(_meta)?.terminal_exit);
  const metadata = fieldsOf(fieldsOf(rawOutput)?.metadata);
  return numberOf(terminal?.exit_code) ?? numberOf(metadata?.exit) ?? 0;
}

function setBounded<T>(map: Map<string, T>, key: string, value: T): void {
  map.set(key, value);
  if (map.size > MAX_OPEN) map.delete(map.keys().next().value ?? '');
}
