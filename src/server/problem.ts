import { STATUS_CODES } from 'node:http';

export interface Problem {
  readonly status: number;
  /** What happened, for a person. */
  readonly detail: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Extension members, for programs; and another `type`. */
  readonly members?: Readonly<Record<string, unknown>>;
}

/** To whoever shows no valid token. */
export function unauthenticated(): Response {
  const detail = 'Send a valid token: Authorization: Bearer slipway_…';
  return problem({ status: 401, detail, headers: { 'www-authenticate': 'Bearer' } });
}

/** An RFC 9457 problem as a response. */
export function problem({ status, detail, headers = {}, members = {} }: Problem): Response {
  const body = { type: 'about:blank', title: STATUS_CODES[status], status, detail, ...members };
  return Response.json(body, { status, headers: { ...headers, 'content-type': 'application/problem+json' } });
}
