import type { ServerResponse } from 'node:http';

export interface StalledStreams extends Disposable {
  watch(response: ServerResponse): void;
}

/**
 * Cuts responses whose reader has taken nothing between two looks although there is something for it: a peer that stops
 * reading and stays connected would hold its subscription for ever.
 */
export function watchStalledStreams(everyMs: number): StalledStreams {
  const responses = new Set<ServerResponse>();
  const written = new WeakMap<ServerResponse, number>();
  const look = setInterval(() => {
    for (const response of responses) {
      const bytes = response.socket?.bytesWritten ?? 0;
      if (response.writableNeedDrain && written.get(response) === bytes) response.destroy();
      else written.set(response, bytes);
    }
  }, everyMs).unref();
  return {
    watch(response) {
      responses.add(response);
      response.once('close', () => responses.delete(response));
    },
    [Symbol.dispose]: () => clearInterval(look),
  };
}
