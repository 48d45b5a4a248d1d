/** `POST /workers/enrol`: a one-time token for an API token. Whoever comes has no other yet. */
import type { HttpBindings } from '@hono/node-server';
import type { Context } from 'hono';
import { type EnrolmentRefusal, enrol, enrolmentRequest } from '../auth/enrolment.ts';
import { InvalidInputError, RateLimitedError } from '../errors.ts';
import { WORKERS_TOPIC } from '../events/topics.ts';
import type { Orchestrator } from '../orchestrator.ts';
import { toPublicId } from '../std/public-id.ts';
import type { AddressLimits } from './address-limits.ts';
import { problem } from './problem.ts';

/** Fifty labels, a name and a token. */
export const MAX_ENROLMENT_BYTES = 16 * 1024;

export interface EnrolWorkerDeps {
  readonly orchestrator: Orchestrator;
  /** Who is refused too often waits, as with any other token. */
  readonly addresses: AddressLimits;
}

const REFUSALS: Readonly<Record<EnrolmentRefusal, { readonly status: number; readonly detail: string }>> = {
  ENROLMENT_INVALID: { status: 401, detail: 'There is no such enrolment token.' },
  ENROLMENT_USED: {
    status: 409,
    detail:
      'This enrolment token was used. Make another one: slipway worker enrol-token. If it was not you, revoke the token that it gave.',
  },
  ENROLMENT_EXPIRED: { status: 410, detail: 'This enrolment token has expired. Make another one.' },
  ENROLMENT_REVOKED: { status: 410, detail: 'This enrolment token was revoked. Make another one.' },
};

/** Answers 201, 400, 401, 409, 410, 413 or 429. */
export async function enrolWorker(
  { orchestrator, addresses }: EnrolWorkerDeps,
  { req, env }: Context,
): Promise<Response> {
  const address = (env as HttpBindings).incoming.socket.remoteAddress ?? '';
  const wait = addresses.wait(address);
  if (wait > 0) throw new RateLimitedError(wait);
  const refuse = (status: number, code: string, detail: string) => {
    addresses.recordRefusal(address);
    return problem({ status, detail, members: { code } });
  };
  const body = await req.json().catch(() => null);
  const request = enrolmentRequest.safeParse(body);
  if (!request.success) {
    const issues = request.error.issues.map(({ path, message }) => `${path.join('.') || 'body'}: ${message}`);
    return refuse(400, 'INVALID_INPUT', `${issues.slice(0, 5).join('; ')}.`);
  }
  try {
    const answer = await enrol(orchestrator, request.data);
    if (!answer.ok) {
      const { status, detail } = REFUSALS[answer.reason];
      return refuse(status, answer.reason, detail);
    }
    orchestrator.hub.announce(WORKERS_TOPIC);
    const { token, tokenId, labels } = answer;
    const told = { token, tokenId: toPublicId('token', tokenId), labels };
    return Response.json(told, { status: 201, headers: { 'cache-control': 'no-store' } });
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    return refuse(409, error.code, error.message);
  }
}
