import type { IncomingMessage } from 'node:http';

/** The body was longer than it may be, or its sender went away. */
export type CollectedBody =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly why: BodyFault };
export type BodyFault = 'TOO_LARGE' | 'GONE';

/** The whole body as UTF-8. Nothing is read of one that says that it is longer than `maxBytes`. */
export function collectBody(request: IncomingMessage, maxBytes: number): Promise<CollectedBody> {
  if (Number(request.headers['content-length'] ?? 0) > maxBytes)
    return Promise.resolve({ ok: false, why: 'TOO_LARGE' });
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const finish = (body: CollectedBody) => {
      request.off('data', take).off('end', end).off('close', lose).off('error', lose);
      resolve(body);
    };
    const take = (chunk: Buffer) => {
      bytes += chunk.byteLength;
      chunks.push(chunk);
      if (bytes <= maxBytes) return;
      request.pause();
      finish({ ok: false, why: 'TOO_LARGE' });
    };
    const end = () => {
      const [first] = chunks;
      const whole = first && chunks.length === 1 ? first : Buffer.concat(chunks);
      finish({ ok: true, text: whole.toString('utf8') });
    };
    const lose = () => finish({ ok: false, why: 'GONE' });
    request.on('data', take).on('end', end).on('close', lose).on('error', lose);
  });
}
