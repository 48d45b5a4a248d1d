import type { ServerResponse } from 'node:http';

/** Aborts when nobody waits for this response any more. */
export function goneSignal(response: ServerResponse): AbortSignal {
  const gone = new AbortController();
  if (response.closed) gone.abort();
  else response.once('close', () => gone.abort());
  return gone.signal;
}
