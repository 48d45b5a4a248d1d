import type { TcpProxy } from '../support/tcp-proxy.ts';

const CUTS = 10;

/** Reads to the end; each of the first ten connections is cut when it has given something. */
export async function cutTenTimes<T>(proxy: TcpProxy, stream: AsyncIterable<T>): Promise<{ seen: T[]; cuts: number }> {
  const seen: T[] = [];
  let cuts = 0;
  let connection = 0;
  for await (const item of stream) {
    seen.push(item);
    if (proxy.opened === connection || cuts === CUTS) continue;
    connection = proxy.opened;
    cuts += 1;
    proxy.cut();
  }
  return { seen, cuts };
}

export function upTo(last: number): number[] {
  return Array.from({ length: last }, (_, index) => index + 1);
}
