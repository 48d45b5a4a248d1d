/**
 * JSON-RPC 2.0 with an ACP agent that is started for it: one message per line in both directions. Every problem is an
 * answer, never an exception, whatever the agent does.
 */
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { type AcpCommand, type AcpProcess, startAcpProcess } from './acp-process.ts';
import { fieldsOf, type JsonFields, numberOf, parseFields, textOf } from './json-fields.ts';

const METHOD_NOT_FOUND = { code: -32_601, message: 'Method not found' };

export type AcpDirection = 'agent->client' | 'client->agent';

export type AcpReply = { readonly ok: true; readonly result: JsonFields } | AcpTrouble;

/** A request of the agent. */
export interface AcpRequest {
  /** A number or a text. */
  readonly id: unknown;
  readonly method: string;
  readonly params: JsonFields;
}

interface AcpTrouble {
  readonly ok: false;
  /** `refused`: the agent answered with an error. `deaf`: it does not read what it is sent. */
  readonly why: 'refused' | 'not_started' | 'ended' | 'timeout' | 'deaf';
  readonly message: string;
}

export interface AcpConnection {
  /** Null: stderr is inherited. */
  readonly stderr: Readable | null;
  /** `timeoutMs` null: as long as it takes. */
  request(method: string, params: JsonFields, timeoutMs: number | null): Promise<AcpReply>;
  notify(method: string, params: JsonFields): void;
  /** Ends its input, `graceMs` later the agent; resolves when it is gone. Safe to repeat. */
  close(graceMs: number): Promise<void>;
  /** Ends it at once, with what it has started in its process group. */
  kill(): Promise<void>;
}

export interface AcpConnectionOptions extends AcpCommand {
  /** The result for a request of the agent, now or later; null: there is no such method. */
  readonly answer: (request: AcpRequest) => JsonFields | Promise<JsonFields> | null;
  /** What the agent says without waiting for an answer. */
  readonly onNotification?: (method: string, params: JsonFields) => void;
  /** Every message in order, as the text of a JSON object. */
  readonly onMessage: (dir: AcpDirection, json: string) => void;
  /** A line that is no message; null when it was too long to be read. */
  readonly onGarbage: (line: string | null) => void;
}

export function openAcpConnection(options: AcpConnectionOptions): AcpConnection {
  const waiting = new Map<number, (reply: AcpReply) => void>();
  let lastId = 0;
  let trouble: AcpTrouble | null = null;

  function giveUp(why: AcpTrouble['why'], message: string): void {
    trouble ??= { ok: false, why, message };
    for (const settle of waiting.values()) settle(trouble);
    waiting.clear();
  }

  function send(agent: AcpProcess, message: JsonFields): void {
    if (trouble) return;
    const json = JSON.stringify({ jsonrpc: '2.0', ...message });
    options.onMessage('client->agent', json);
    if (!agent.write(json)) giveUp('deaf', 'The agent does not read what it is sent.');
  }

  function receive(message: JsonFields): void {
    const { id } = message;
    const method = textOf(message.method);
    if (method === null) {
      waiting.get(numberOf(id) ?? 0)?.(replyOf(message));
      waiting.delete(numberOf(id) ?? 0);
      return;
    }
    const params = fieldsOf(message.params) ?? {};
    if (id === undefined) options.onNotification?.(method, params);
    else answer({ id, method, params });
  }

  function answer(request: AcpRequest): void {
    const { id } = request;
    const result = options.answer(request);
    if (result instanceof Promise) void result.then((late) => send(agent, { id, result: late }));
    else send(agent, result ? { id, result } : { id, error: METHOD_NOT_FOUND });
  }

  const agent = startAcpProcess(options, {
    onEnd: giveUp,
    onLine({ text, truncated }) {
      const message = truncated ? null : parseFields(text);
      if (message) {
        options.onMessage('agent->client', text.trim());
        receive(message);
      } else if (text.trim() !== '') {
        options.onGarbage(truncated ? null : text);
      }
    },
  });

  return {
    stderr: agent.stderr,
    close: (graceMs) => agent.close(graceMs),
    kill: () => agent.kill(),
    notify: (method, params) => send(agent, { method, params }),
    async request(method, params, timeoutMs) {
      if (trouble) return trouble;
      const id = ++lastId;
      const reply = new Promise<AcpReply>((settle) => waiting.set(id, settle));
      send(agent, { id, method, params });
      return timeoutMs === null ? reply : Promise.race([reply, late(method, timeoutMs)]);
    },
  };
}

function replyOf({ error, result }: JsonFields): AcpReply {
  if (error === undefined) return { ok: true, result: fieldsOf(result) ?? {} };
  return {
    ok: false,
    why: 'refused',
    message: textOf(fieldsOf(error)?.message) ?? 'The agent answered with an error.',
  };
}

function late(method: string, timeoutMs: number): Promise<AcpTrouble> {
  const message = `The agent did not answer ${method} within ${timeoutMs / 1000} s.`;
  return delay(timeoutMs, { ok: false, why: 'timeout', message }, { ref: false });
}
