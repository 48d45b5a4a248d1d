import type { IncomingMessage } from 'node:http';

/** The body was longer than it may be, or its sender went away. */
export type Collected<T> =
  | { readonly ok: true; readonly body: T }
  | { readonly ok: false; readonly why: 'TOO_LARGE' | 'GONE' };

/** The whole body as UTF-8. Nothing is read of one that says that it is longer than `maxBytes`. */
export async function collectText(request: IncomingMessage, maxBytes: number): Promise<Collected<string>> {
  const collected = await collectBody(request, maxBytes);
  return collected.ok ? { ok: true, body: collected.body.toString('utf8') } : collected;
}

/** The same as bytes. */
export function collectBody(request: IncomingMessage, maxBytes: number): Promise<Collected<Buffer>> {
  if (Number(request.headers['content-length'] ?? 0) > maxBytes)
    return Promise.resolve({ ok: false, why: 'TOO_LARGE' });
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const take = (chunk: Buffer) => {
      bytes += chunk.byteLength;
      chunks.push(chunk);
      if (bytes <= maxBytes) return;
      request.off('data', take).pause();
      resolve({ ok: false, why: 'TOO_LARGE' });
    };
    // What comes after the first of these says nothing new.
    const lose = () => resolve({ ok: false, why: 'GONE' });
    request.on('data', take).on('close', lose).on('error', lose);
    request.on('end', () => {
      const [first] = chunks;
      resolve({ ok: true, body: first && chunks.length === 1 ? first : Buffer.concat(chunks) });
    });
  });
}
