/**
 * A bot that is told about builds, in a process of its own: `startCallbackReceiver` runs this very file. It believes
 * what the library `standardwebhooks` verifies and answers 200 to that, 401 to all else.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { Webhook } from 'standardwebhooks';
import type { CallbackPayload } from '../../src/callbacks/callback.ts';
import { waitFor } from '../support/wait-for.ts';

/** One line of its output. */
export type Received =
  | { readonly id: string; readonly payload: CallbackPayload; readonly body: string }
  | { readonly refused: string };

export interface CallbackReceiver extends AsyncDisposable {
  readonly url: string;
  /** In the order of arrival. */
  readonly received: readonly Received[];
}

export async function startCallbackReceiver(secret: string): Promise<CallbackReceiver> {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url)], {
    env: { WEBHOOK_SECRET: secret },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let printed = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    printed += chunk;
  });
  const lines = () => printed.split('\n').slice(0, -1);
  const url = await waitFor(() => lines()[0], { deadlineMs: 20_000, what: 'the callback receiver' });
  return {
    url,
    get received() {
      return lines()
        .slice(1)
        .map((line) => JSON.parse(line) as Received);
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    },
  };
}

async function serve(webhook: Webhook): Promise<void> {
  const server = createServer(async (request, response) => {
    const body = await text(request);
    const headers = request.headers as Record<string, string>;
    try {
      const payload = webhook.verify(body, headers) as CallbackPayload;
      print({ id: headers['webhook-id'] ?? '', payload, body });
      response.writeHead(200).end();
    } catch (error) {
      print({ refused: String(error) });
      response.writeHead(401).end();
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  process.stdout.write(`http://127.0.0.1:${(server.address() as AddressInfo).port}/callback\n`);
}

function print(received: Received): void {
  process.stdout.write(`${JSON.stringify(received)}\n`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await serve(new Webhook(process.env.WEBHOOK_SECRET ?? ''));
