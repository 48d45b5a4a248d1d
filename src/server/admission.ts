/** May this operation run at all? What it costs is taken from its token's budget before anything is executed. */
import { type ExecutionResult, GraphQLError } from 'graphql';
import { MAX_COMPLEXITY, OPERATION_COST } from '../../schema/limits.ts';
import type { RateLimit } from '../../schema/rate-limit.ts';
import type { Viewer } from '../auth/viewer.ts';
import { RateLimitedError } from '../errors.ts';
import type { ServerLimits } from './limits.ts';
import { type MeasuredOperation, measureCost } from './measure-cost.ts';
import type { RateLimits } from './rate-limits.ts';
import { type Place, TokenCounter } from './token-counter.ts';

export interface AdmissionOptions {
  readonly limits: ServerLimits;
  /** Null where nothing is limited. */
  readonly rateLimits: RateLimits | null;
  readonly mask: (error: unknown) => GraphQLError;
}

export type Admitted =
  | {
      readonly ok: true;
      readonly rateLimit: RateLimit | null;
      /** To be left when the operation is over. */
      readonly place: Place;
    }
  | { readonly ok: false; readonly refused: ExecutionResult };

export interface Admission {
  /**
   * Never rejects. The codes are RATE_LIMITED, QUERY_TOO_COMPLEX and TOO_MANY_OPERATIONS. `operation` is null when execution will
   * refuse it.
   */
  admit(viewer: Viewer, operation: MeasuredOperation | null): Promise<Admitted>;
  /** A document that is refused costs a point, too. Gives the refusal when there is none left. */
  charge(viewer: Viewer): Promise<GraphQLError | null>;
}

export function createAdmission({ limits, rateLimits, mask }: AdmissionOptions): Admission {
  const operations = new TokenCounter(limits.operationsPerToken);
  const spend = async ({ tokenId }: Viewer, points: number) => (await rateLimits?.spend(tokenId, points)) ?? null;
  return {
    async admit(viewer, operation) {
      try {
        const { complexity, points } = measureCost(operation);
        const tooComplex = complexity > MAX_COMPLEXITY;
        const rateLimit = await spend(viewer, tooComplex ? OPERATION_COST : points);
        if (tooComplex) return refuse(tooComplexError(complexity), rateLimit);
        const place = operations.enter(viewer.tokenId);
        return place ? { ok: true, rateLimit, place } : refuse(tooManyError(limits.operationsPerToken), rateLimit);
      } catch (error) {
        const budget = error instanceof RateLimitedError ? (error.budget as RateLimit | null) : null;
        return refuse(mask(error), budget);
      }
    },
    async charge(viewer) {
      try {
        await spend(viewer, OPERATION_COST);
        return null;
      } catch (error) {
        return mask(error);
      }
    },
  };
}

function refuse(error: GraphQLError, rateLimit: RateLimit | null): Admitted {
  return { ok: false, refused: withRateLimit({ errors: [error] }, rateLimit) };
}

/** Every answer says what is left. */
export function withRateLimit(result: ExecutionResult, rateLimit: RateLimit | null): ExecutionResult {
  return rateLimit ? { ...result, extensions: { ...result.extensions, rateLimit } } : result;
}

function tooComplexError(complexity: number): GraphQLError {
  return new GraphQLError(`The operation's complexity is ${complexity}, the limit is ${MAX_COMPLEXITY}.`, {
    extensions: { code: 'QUERY_TOO_COMPLEX', complexity, limit: MAX_COMPLEXITY },
  });
}

function tooManyError(limit: number): GraphQLError {
  return new GraphQLError(`One token can have ${limit} operations at the same time, its subscriptions among them.`, {
    extensions: { code: 'TOO_MANY_OPERATIONS', limit },
  });
}
