/** Lines of the scripted program -> agent events. What its commands print stands between them and is only for the log. */
import { z } from 'zod';
import { MAX_EVENT_TEXT, type Usage } from '../events/event.ts';
import type { AgentEvent, RunEnd } from './agent.ts';
import { cutJson } from './cut-json.ts';
import { cutText } from './cut-text.ts';
import { parseFields } from './json-fields.ts';
import type { LineReader } from './line-agent.ts';
import type { ScriptedResult } from './scripted-program.ts';
import { failReason } from './scripted-steps.ts';
import { exitVerdict, failed, outcomeOf, type Progress, stopVerdict, succeeded, type Verdict } from './verdict.ts';

const text = z.string().transform((value) => cutText(value, MAX_EVENT_TEXT));
const count = z.number().nullable();
const MAX_OPTIONS = 20;

/** A command can print such a line too: it is checked, and success also needs the program's exit code. */
const scriptedLine = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('started'),
    sessionId: text.nullable(),
    model: text.nullable(),
    agentVersion: text.nullable(),
  }),
  z.object({
    type: z.literal('activity'),
    content: z.discriminatedUnion('kind', [
      z.object({ kind: z.literal('message'), text }),
      z.object({
        kind: z.literal('tool_call'),
        callId: text,
        tool: text,
        input: z.unknown().transform((value) => cutJson(value ?? null, MAX_EVENT_TEXT)),
      }),
      z
        .object({
          kind: z.literal('tool_result'),
          callId: text,
          status: z.enum(['ok', 'failed', 'denied']),
          output: z.string(),
        })
        .transform((content) => ({
          ...content,
          output: cutText(content.output, MAX_EVENT_TEXT),
          truncated: content.output.length > MAX_EVENT_TEXT,
        })),
    ]),
  }),
  z.object({
    type: z.literal('retry'),
    reason: failReason,
    message: text,
    attempt: count,
    retryAfterSeconds: z.number().optional(),
  }),
  z.object({
    type: z.literal('usage'),
    usage: z.object({
      inputTokens: count,
      outputTokens: count,
      cacheReadTokens: count,
      cacheWriteTokens: count,
      costUsd: count,
      turns: count,
    }),
  }),
  z.object({
    type: z.literal('asked'),
    requestId: text,
    request: z.discriminatedUnion('kind', [
      z.object({
        kind: z.literal('QUESTION'),
        questions: z.array(
          z.object({
            question: text,
            header: z.null(),
            options: z.array(z.object({ label: text, description: z.null() })).max(MAX_OPTIONS),
            multiple: z.literal(false),
          }),
        ),
      }),
      z.object({
        kind: z.literal('PERMISSION'),
        tool: text,
        input: z.unknown().transform((value) => cutJson(value ?? null, MAX_EVENT_TEXT)),
        description: z.null(),
      }),
    ]),
  }),
  z.object({ type: z.literal('request_closed'), requestId: text }),
  z.object({ type: z.literal('message_taken'), messageId: text }),
  z.object({ type: z.literal('turn_finished') }),
  z.discriminatedUnion('ok', [
    z.object({ type: z.literal('result'), ok: z.literal(true) }),
    z.object({ type: z.literal('result'), ok: z.literal(false), reason: failReason, message: text }),
  ]),
]) satisfies z.ZodType<AgentEvent | ScriptedResult>;

export function createScriptedReader(): LineReader {
  let result: ScriptedResult | null = null;
  let finalText = '';
  let sessionId: string | null = null;
  let usage: Usage | null = null;
  let lastRetry: Progress['lastRetry'] = null;

  function read(line: string): AgentEvent[] {
    const parsed = scriptedLine.safeParse(line.startsWith('{') ? parseFields(line) : null);
    if (!parsed.success) return [];
    const event = parsed.data;
    if (event.type === 'result') {
      result = event;
      return [];
    }
    if (event.type === 'started') sessionId = event.sessionId;
    if (event.type === 'usage') usage = event.usage;
    if (event.type === 'retry') lastRetry = event;
    if (event.type === 'activity' && event.content.kind === 'message') finalText = event.content.text;
    return [event];
  }

  function verdict(end: RunEnd): Verdict {
    const progress = { finished: result !== null, lastRetry };
    const stopped = stopVerdict(end.stoppedBecause, progress);
    if (stopped) return stopped;
    if (result?.ok === false) return failed(result.reason, result.message);
    const endedWell = result !== null && end.exit.kind === 'exited' && end.exit.code === 0;
    return endedWell ? succeeded() : exitVerdict(end, progress);
  }

  return { read, verdict: (end) => outcomeOf(verdict(end), { finalText, sessionId, usage, denials: [] }) };
}
