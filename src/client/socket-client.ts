/** One WebSocket for all subscriptions of a client: opened with the first, closed after the last. */
import { createClient, type Client as SocketClient } from 'graphql-ws/client';

const PING_EVERY_MS = 10_000;
/** A peer that is gone without a word (a sleeping laptop, a dropped route) is noticed after this. */
const PONG_WITHIN_MS = 10_000;
const ANSWER_WITHIN_MS = 10_000;

export interface SocketOptions {
  readonly url: string;
  readonly token: string | null;
  /** Of the server, to the connection, then to the token; ten seconds when absent. */
  readonly answerWithinMs?: number;
}

export function openSocketClient({ answerWithinMs = ANSWER_WITHIN_MS, ...options }: SocketOptions): SocketClient {
  const url = new URL(options.url);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  let silence: NodeJS.Timeout | undefined;
  const client = createClient({
    url: url.href,
    ...(options.token === null ? {} : { connectionParams: { authorization: `Bearer ${options.token}` } }),
    // Its own retry sends the first cursor again; resuming is ours.
    retryAttempts: 0,
    keepAlive: PING_EVERY_MS,
    connectionAckWaitTimeout: answerWithinMs,
    webSocketImpl: impatientSocket(answerWithinMs),
    on: {
      ping: (received) => {
        if (!received) silence = setTimeout(() => client.terminate(), PONG_WITHIN_MS);
      },
      pong: (received) => {
        if (received) clearTimeout(silence);
      },
      closed: () => clearTimeout(silence),
    },
  });
  return client;
}

/** A port is open while its process stands still: without this, a connection that nobody answers is waited for for minutes. */
function impatientSocket(withinMs: number): typeof WebSocket {
  return class extends WebSocket {
    constructor(...to: ConstructorParameters<typeof WebSocket>) {
      super(...to);
      const timer = setTimeout(() => this.close(), withinMs);
      for (const event of ['open', 'close']) this.addEventListener(event, () => clearTimeout(timer), { once: true });
    }
  };
}
