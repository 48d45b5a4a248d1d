/**
 * A scripted model on loopback that speaks the APIs of several providers, for real agents in tests. The last user text
 * with `[[script:NAME]]` picks the script, the number of answers after it the turn: it has no state of its own, so any
 * number of agents share it and a resumed session goes on where it was.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { anthropic } from './anthropic.ts';
import { bindCall } from './bind-call.ts';
import { gemini } from './gemini.ts';
import { openaiChat } from './openai-chat.ts';
import { openaiResponses } from './openai-responses.ts';
import type { Message, Protocol } from './protocol.ts';
import { SCRIPTS, type Turn } from './scripts.ts';

export interface FakeModel extends AsyncDisposable {
  readonly url: string;
  /** The prompts of the requests so far. */
  readonly prompts: readonly string[];
}

const PROTOCOLS: readonly Protocol[] = [anthropic, openaiChat, openaiResponses, gemini];

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
  const { pathname } = new URL(request.url ?? '/', 'http://x');
  const protocol = PROTOCOLS.find(({ path }) => request.method === 'POST' && path.test(pathname));
  if (!protocol)
    return json(response, 404, { type: 'error', error: { type: 'not_found_error', message: 'not found' } });
  const asked = protocol.read(JSON.parse(Buffer.concat(chunks).toString('utf8')), pathname);
  prompts.push(asked.messages.map(({ text }) => text).join('\n'));
  const turn = pickTurn(asked.messages);
  if (turn.error) {
    if (turn.error.retryAfterMs !== undefined) response.setHeader('retry-after-ms', turn.error.retryAfterMs);
    return json(response, turn.error.status, protocol.error(turn.error));
  }
  const frames = protocol.stream({
    model: asked.model,
    text: turn.text ?? null,
    calls: (turn.calls ?? []).map((call) => bindCall(call, asked.tools)),
    usage: turn.usage ?? { input: 1000, output: 50 },
  });
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const { event, data } of frames) {
    response.write(`${event === null ? '' : `event: ${event}\n`}data: ${JSON.stringify(data)}\n\n`);
  }
  response.end();
}

function pickTurn(messages: readonly Message[]): Turn {
  const at = messages.findLastIndex(({ role, text }) => role === 'user' && MARKER.test(text));
  const name = MARKER.exec(messages[at]?.text ?? '')?.[1] ?? 'default';
  const turns = SCRIPTS[name] ?? SCRIPTS.default ?? [];
  return turns[Math.min(countAnswers(messages.slice(at + 1)), turns.length - 1)] ?? {};
}

/** Some agents make several messages of one answer. */
function countAnswers(messages: readonly Message[]): number {
  const starts = messages.filter(({ role }, at) => role === 'assistant' && messages[at - 1]?.role !== 'assistant');
  return starts.length;
}

function json(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}
