import type { ServerResponse } from 'node:http';

/** Answers hold secrets, and GraphiQL holds a token: nothing is kept on the way, and no page frames it. Names and values in turn. */
export const PROTECTION: readonly string[] = [
  ...['cache-control', 'no-store'],
  ...['x-content-type-options', 'nosniff'],
  ...['x-frame-options', 'DENY'],
];

/** For a response whose other headers somebody else sets. */
export function protect(response: ServerResponse): void {
  for (let index = 0; index < PROTECTION.length; index += 2) {
    response.setHeader(PROTECTION[index] as string, PROTECTION[index + 1] as string);
  }
}
