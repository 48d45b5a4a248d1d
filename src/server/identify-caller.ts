import type { GraphQLError } from 'graphql';
import type { Viewer } from '../auth/viewer.ts';
import { refusal, refusedBy } from './http-status.ts';

/** Who sends a request to `GRAPHQL_PATH`, of whom the token is looked up. Throws an error that carries its HTTP status. */
export async function identifyCaller(
  looked: Promise<Viewer | null>,
  mask: (error: unknown) => GraphQLError,
): Promise<Viewer> {
  const viewer = await looked.catch((error: unknown) => {
    throw refusedBy(mask, error);
  });
  if (viewer) return viewer;
  const headers = { 'WWW-Authenticate': 'Bearer' };
  throw refusal(401, 'UNAUTHENTICATED', 'Send a valid token: Authorization: Bearer slipway_…', headers);
}
