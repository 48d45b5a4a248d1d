/** Recorded conversations with OpenCode's server, in test/fixtures/transcripts. */
import { readdirSync, readFileSync } from 'node:fs';
import { fieldsOf, itemsOf, type JsonFields } from '../../src/agents/json-fields.ts';
import { createOpenCodeRelay } from '../../src/agents/opencode-relay.ts';

const FOLDER = new URL('../fixtures/transcripts/', import.meta.url);
export const NO_CAPS = { maxTurns: null, maxCostUsd: null, maxRetries: 100 };
export const NAMES = readdirSync(FOLDER)
  .filter((file) => file.startsWith('opencode-') && file.endsWith('.jsonl'))
  .map((file) => file.slice(0, -'.jsonl'.length));

export interface Recorded {
  readonly sse?: string;
  readonly event?: JsonFields;
  readonly http?: {
    readonly request: { readonly method: string; readonly path: string };
    readonly response: { readonly body?: unknown };
  };
}

export function readRecording(name: string): readonly Recorded[] {
  const text = readFileSync(new URL(`${name}.jsonl`, FOLDER), 'utf8');
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Recorded);
}

/** As far as a run would have come that has `prompts` prompts. */
export function untilPrompt(recording: readonly Recorded[], prompts: number): readonly Recorded[] {
  const isPrompt = ({ http }: Recorded) =>
    http?.request.method === 'POST' && /\/(prompt_async|message)(\?|$)/.test(http.request.path);
  const next = recording.map((line, at) => (isPrompt(line) ? at : -1)).filter((at) => at >= 0)[prompts];
  return recording.slice(0, next);
}

/** The lines that our program would have printed. */
export function linesOf(recording: readonly Recorded[]): { readonly lines: readonly string[]; readonly idle: boolean } {
  const created = recording.find(
    ({ http }) => http?.request.method === 'POST' && /^\/session(\?|$)/.test(http.request.path),
  );
  const session = fieldsOf(created?.http?.response.body) ?? {};
  const sessionId = String(session.id);
  const relay = createOpenCodeRelay(sessionId, NO_CAPS);
  let idle = false;
  const told = recording.flatMap(({ event, sse, http }): readonly JsonFields[] => {
    const isOurs = http?.request.method === 'GET' && http.request.path.startsWith(`/session/${sessionId}/message`);
    if (isOurs) return itemsOf(http.response.body).flatMap((message) => relay.takeMessage(message));
    if (!event || !sse?.startsWith('/event')) return [];
    if (event.type === 'session.idle' && fieldsOf(event.properties)?.sessionID === sessionId) idle = true;
    return relay.take(event);
  });
  const started = { type: 'started', sessionId, version: session.version, model: 'fake/fake-model' };
  const lines = [started, ...told, ...(idle ? [{ type: 'result' }] : [])];
  return { lines: lines.map((line) => JSON.stringify(line)), idle };
}
