import type { GraphQLError } from 'graphql';
import type { Viewer } from '../auth/viewer.ts';
import type { Authenticator, Caller } from './authenticator.ts';
import { refusal, refusedBy } from './http-status.ts';

export interface CallerDeps {
  readonly authenticator: Authenticator;
  readonly mask: (error: unknown) => GraphQLError;
}

/** Who sends a request to `GRAPHQL_PATH`. Throws an error that carries its HTTP status. */
export async function identifyCaller({ authenticator, mask }: CallerDeps, caller: Caller): Promise<Viewer> {
  const viewer = await authenticator.identify(caller).catch((error: unknown) => {
    throw refusedBy(mask, error);
  });
  if (viewer) return viewer;
  const headers = { 'WWW-Authenticate': 'Bearer' };
  throw refusal(401, 'UNAUTHENTICATED', 'Send a valid token: Authorization: Bearer slipway_…', headers);
}
