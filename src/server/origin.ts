import type { IncomingHttpHeaders } from 'node:http';

/**
 * May this request come from where it says it comes from? Only browsers send an Origin: one without comes from a
 * program, and one whose origin is this very host comes from our own pages.
 */
export function isAllowedOrigin(headers: IncomingHttpHeaders, allowedOrigins: readonly string[]): boolean {
  const { origin, host } = headers;
  if (origin === undefined || allowedOrigins.includes(origin)) return true;
  return URL.canParse(origin) && new URL(origin).host === host;
}
