/**
 * A scripted model that speaks the Anthropic Messages API (streamed) on loopback, for real agents in tests. The last
 * user text with `[[script:NAME]]` picks the script, the number of answers after it the turn: it has no state of its
 * own, so any number of agents share it and a resumed session goes on where it was.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SCRIPTS, type Turn } from './scripts.ts';

export interface FakeModel extends AsyncDisposable {
  readonly url: string;
  /** The prompts of the requests so far. */
  readonly prompts: readonly string[];
}

interface Message {
  readonly role: string;
  readonly content: string | readonly { readonly type: string; readonly text?: string }[];
}

const MARKER = /\[\[script:([\w-]+)\]\]/;

export async function openFakeModel(): Promise<FakeModel> {
  const prompts: string[] = [];
  const server = createServer((request, response) => {
    answer(request, response, prompts).catch(() => response.destroy());
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    prompts,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

async function answer(request: IncomingMessage, response: ServerResponse, prompts: string[]): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  if (request.method !== 'POST' || !new URL(request.url ?? '/', 'http://x').pathname.endsWith('/messages')) {
    return json(response, 404, { type: 'error', error: { type: 'not_found_error', message: 'not found' } });
  }
  const body = JSON.parse(Buffer.concat(chunks).toString('utf8')) as { model: string; messages: Message[] };
  prompts.push(body.messages.map(textOf).join('\n'));
  const turn = pickTurn(body.messages);
  if (turn.error) {
    const { type, message } = turn.error;
    return json(response, turn.error.status, { type: 'error', error: { type, message } });
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const event of stream(turn, body.model)) {
    response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  }
  response.end();
}

function pickTurn(messages: readonly Message[]): Turn {
  const at = messages.findLastIndex((message) => message.role === 'user' && MARKER.test(textOf(message)));
  const name = MARKER.exec(textOf(messages[at]))?.[1] ?? 'default';
  const turns = SCRIPTS[name] ?? SCRIPTS.default ?? [];
  const done = messages.slice(at + 1).filter((message) => message.role === 'assistant').length;
  return turns[Math.min(done, turns.length - 1)] ?? {};
}

function textOf(message: Message | undefined): string {
  const content = message?.content ?? '';
  return typeof content === 'string' ? content : content.map((part) => part.text ?? '').join('\n');
}

let ids = 0;

function* stream(turn: Turn, model: string): Generator<{ type: string; [field: string]: unknown }> {
  const { input, output } = turn.usage ?? { input: 1000, output: 50 };
  const calls = turn.calls ?? [];
  const message = { id: `msg_${++ids}`, type: 'message', role: 'assistant', model, content: [] };
  const usage = { input_tokens: input, output_tokens: 1, cache_read_input_tokens: 0, cache_creation_input_tokens: 0 };
  yield { type: 'message_start', message: { ...message, stop_reason: null, stop_sequence: null, usage } };
  let index = 0;
  if (turn.text !== undefined) {
    yield { type: 'content_block_start', index, content_block: { type: 'text', text: '' } };
    yield { type: 'content_block_delta', index, delta: { type: 'text_delta', text: turn.text } };
    yield { type: 'content_block_stop', index: index++ };
  }
  for (const { tool, input } of calls) {
    const partial_json = JSON.stringify(input);
    yield {
      type: 'content_block_start',
      index,
      content_block: { type: 'tool_use', id: `toolu_${++ids}`, name: tool, input: {} },
    };
    yield { type: 'content_block_delta', index, delta: { type: 'input_json_delta', partial_json } };
    yield { type: 'content_block_stop', index: index++ };
  }
  const stop_reason = calls.length > 0 ? 'tool_use' : 'end_turn';
  yield { type: 'message_delta', delta: { stop_reason, stop_sequence: null }, usage: { output_tokens: output } };
  yield { type: 'message_stop' };
}

function json(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}
