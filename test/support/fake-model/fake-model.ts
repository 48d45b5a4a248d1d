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
import type { Message, ModelRequest, Protocol } from './protocol.ts';
import { SCRIPTS, type Turn } from './scripts.ts';

export interface FakeModel extends AsyncDisposable {
  readonly url: string;
  /** The prompts of the requests so far. */
  readonly prompts: readonly string[];
  /** Requests of this script that it has answered so far, or begun not to. */
  answered(script: string): number;
}

const PROTOCOLS: readonly Protocol[] = [anthropic, openaiChat, openaiResponses, gemini];

const NOT_FOUND = { type: 'error', error: { type: 'not_found_error', message: 'not found' } };

const MARKER = /\[\[script:([\w-]+)\]\]/;

export async function openFakeModel(): Promise<FakeModel> {
  const prompts: string[] = [];
  const answered = new Map<string, number>();
  const server = createServer(async (request, response) => {
    try {
      const asked = await readRequest(request);
      if (!asked) return json(response, 404, NOT_FOUND);
      prompts.push(asked.messages.map(({ text }) => text).join('\n'));
      const { script, turn } = pickTurn(asked.messages);
      answer(response, asked, turn);
      answered.set(script, (answered.get(script) ?? 0) + 1);
    } catch {
      response.destroy();
    }
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    prompts,
    answered: (script) => answered.get(script) ?? 0,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

type Asked = ModelRequest & { readonly protocol: Protocol };

/** Null when it is no request of a provider's API. */
async function readRequest(request: IncomingMessage): Promise<Asked | null> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const { pathname } = new URL(request.url ?? '/', 'http://x');
  const protocol = PROTOCOLS.find(({ path }) => request.method === 'POST' && path.test(pathname));
  return protocol ? { protocol, ...protocol.read(JSON.parse(Buffer.concat(chunks).toString('utf8')), pathname) } : null;
}

function answer(response: ServerResponse, { protocol, model, tools }: Asked, turn: Turn): void {
  if (turn.end === 'silent') return;
  if (turn.refusal) {
    if (turn.retryAfterMs !== undefined) response.setHeader('retry-after-ms', turn.retryAfterMs);
    const { status, body } = protocol.refuse(turn.refusal);
    json(response, status, body);
    return;
  }
  const frames = protocol.stream({
    model,
    text: turn.text ?? null,
    calls: (turn.calls ?? []).map((call) => bindCall(call, tools)),
    end: turn.end ?? 'itself',
    usage: turn.usage ?? { input: 1000, output: 50 },
  });
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const { event, data } of frames) {
    response.write(`${event === null ? '' : `event: ${event}\n`}data: ${JSON.stringify(data)}\n\n`);
  }
  if (turn.end !== 'stalled') response.end();
}

function pickTurn(messages: readonly Message[]): { script: string; turn: Turn } {
  const at = messages.findLastIndex(({ role, text }) => role === 'user' && MARKER.test(text));
  const script = MARKER.exec(messages[at]?.text ?? '')?.[1] ?? 'default';
  const turns = SCRIPTS[script] ?? SCRIPTS.default ?? [];
  return { script, turn: turns[Math.min(countAnswers(messages.slice(at + 1)), turns.length - 1)] ?? {} };
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
