import type { ServerResponse } from 'node:http';

export interface StalledStreams extends Disposable {
  watch(response: ServerResponse): void;
}

/**
 * Cuts responses whose reader has taken nothing between two looks although there is something for it: a peer that stops
 * reading and stays connected would hold its subscription for ever.
 */
export function watchStalledStreams(everyMs: number): StalledStreams {
  const open: Watched[] = [];
  const look = setInterval(() => {
    for (const watched of [...open]) {
      const { response } = watched;
      const bytes = response.socket?.bytesWritten ?? 0;
      if (response.writableNeedDrain && watched.bytes === bytes) response.destroy();
      else watched.bytes = bytes;
    }
  }, everyMs).unref();
  return {
    watch(response) {
      const watched = { response, bytes: null, at: open.length };
      open.push(watched);
      response.once('close', () => remove(open, watched));
    },
    [Symbol.dispose]: () => clearInterval(look),
  };
}

/**
 * In a plain list, each with its place: what passes through a Set that is old is kept by the tables that it has outgrown until the
 * whole heap is collected, and with each response its request, and all that was read for it.
 */
interface Watched {
  readonly response: ServerResponse;
  /** Written at the last look. */
  bytes: number | null;
  at: number;
}

function remove(open: Watched[], { at }: Watched): void {
  const last = open.pop();
  if (!last || last.at === at) return;
  open[at] = last;
  last.at = at;
}
