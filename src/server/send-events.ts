/** A subscription as a stream of server-sent events: the same bytes for all who get the same. */
import type { FetchAPI } from 'graphql-yoga';
import { ENDED, type Feed } from '../std/feed.ts';
import type { Payload } from './payload.ts';

/** A comment this often, so that nobody on the way takes the connection for dead. */
const PING_MS = 12_000;
/** Bytes of one piece, when it is more than one event. */
const MAX_PIECE_BYTES = 64 * 1024;
const PING = Buffer.from(':\n\n');
const COMPLETE = Buffer.from('event: complete\ndata:\n\n');

const HEADERS = {
  'Content-Type': 'text/event-stream',
  Connection: 'keep-alive',
  'Cache-Control': 'no-cache',
  'Content-Encoding': 'none',
};

/** The response's reader pulls: what he does not read stays where it is. */
export function sendEvents(feed: Feed<Payload>, { ReadableStream, Response }: FetchAPI): Response {
  let pings: NodeJS.Timeout | undefined;
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      // Some browsers show no headers before something has come.
      controller.enqueue(PING);
      pings = setInterval(() => {
        if ((controller.desiredSize ?? 0) > 0) controller.enqueue(PING);
      }, PING_MS);
    },
    async pull(controller) {
      const { events, ended } = await takeSome(feed);
      const [first, ...others] = events;
      if (first) controller.enqueue(others.length === 0 ? first : Buffer.concat(events));
      if (!ended) return;
      clearInterval(pings);
      controller.enqueue(COMPLETE);
      controller.close();
    },
    cancel() {
      clearInterval(pings);
      feed.close();
    },
  });
  return new Response(body, { status: 200, headers: HEADERS });
}

/** One event at least, unless there is none any more, and what has come together with it. */
async function takeSome(feed: Feed<Payload>): Promise<{ events: Buffer[]; ended: boolean }> {
  const events: Buffer[] = [];
  let bytes = 0;
  while (bytes < MAX_PIECE_BYTES) {
    const payload = feed.take();
    if (payload === ENDED) return { events, ended: true };
    if (payload) {
      events.push(payload.event);
      bytes += payload.event.length;
    } else if (events.length > 0) break;
    else await new Promise<void>((ready) => feed.wait({ ready }));
  }
  return { events, ended: false };
}
