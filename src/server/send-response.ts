import type { ServerResponse } from 'node:http';

/** A short answer of a fetch API, by Node; nothing where the caller has gone. */
export async function sendResponse(response: ServerResponse, answer: Response): Promise<void> {
  const body = await answer.text();
  if (response.destroyed || response.headersSent) return;
  const headers = [
    ...answer.headers,
    ['x-content-type-options', 'nosniff'],
    ['content-length', String(Buffer.byteLength(body))],
  ];
  response.writeHead(answer.status, headers.flat());
  response.end(body);
}
