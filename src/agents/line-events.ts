/** Events made of what an agent printed: every text is cut to what an event may hold, and fit for Postgres. */
import { type AgentActivityContent, MAX_EVENT_TEXT } from '../events/event.ts';
import type { AgentEvent } from './agent.ts';
import { cutJson } from './cut-json.ts';
import { cutText } from './cut-text.ts';
import { textOf } from './json-fields.ts';

type ToolStatus = Extract<AgentActivityContent, { kind: 'tool_result' }>['status'];

const MAX_NAME = 200;

/** A word of a protocol, such as a type or an id: at most `MAX_NAME` characters; null when it is not a text. */
export function nameOf(value: unknown): string | null {
  const text = textOf(value);
  return text === null ? null : cutText(text, MAX_NAME);
}

/** Nothing for an empty text. */
export function say(kind: 'message' | 'thought', text: string): AgentEvent[] {
  return text === '' ? [] : [{ type: 'activity', content: { kind, text: cutText(text, MAX_EVENT_TEXT) } }];
}

/** Nothing for an empty message. */
export function warn(message: string | null): AgentEvent[] {
  return message ? [{ type: 'warning', message: cutText(message, MAX_EVENT_TEXT) }] : [];
}

export function toolCall(call: {
  readonly callId: string | null;
  readonly tool: string | null;
  readonly input: unknown;
}): AgentEvent {
  const input = cutJson(call.input ?? null, MAX_EVENT_TEXT);
  return { type: 'activity', content: { kind: 'tool_call', callId: call.callId ?? '', tool: call.tool ?? '', input } };
}

export function toolResult(result: {
  readonly callId: string | null;
  readonly status: ToolStatus;
  readonly output: string | null;
}): AgentEvent {
  const { callId, status, output } = result;
  const content = {
    kind: 'tool_result',
    callId: callId ?? '',
    status,
    output: output === null ? null : cutText(output, MAX_EVENT_TEXT),
    truncated: output !== null && output.length > MAX_EVENT_TEXT,
  } as const;
  return { type: 'activity', content };
}
