/** Whatever was thrown -> what a caller may see of it. */
import { randomUUID } from 'node:crypto';
import { GraphQLError } from 'graphql';
import { toGraphQLError } from '../../schema/expose-errors.ts';
import { isTransient } from '../database/transient.ts';
import { SlipwayError } from '../errors.ts';
import type { Logger } from '../telemetry/logger.ts';
import { currentTrace } from '../telemetry/trace-scope.ts';
import { errorText } from './error-text.ts';

/** One line for an outage, not one for each of those who are told. */
const SAY_AGAIN_MS = 30_000;

/**
 * Errors that are meant for the caller (a GraphQLError, one of src/errors.ts) pass with their code. A database that
 * cannot be reached becomes UNAVAILABLE, `retryable: true`. Everything else becomes INTERNAL with an `errorId`, under
 * which the log has the rest, and the `traceId` of the request; `onDefect` is told of it. May be applied to its own result.
 */
export function createErrorMask(logger: Logger, onDefect = () => {}): (error: unknown) => GraphQLError {
  const sayOutage = createOutageLog(logger);
  return (error) => {
    if (error instanceof GraphQLError && typeof error.extensions.code === 'string') return error;
    const cause = rootCause(error);
    // What graphql itself says about an operation has no code of its own. Its outermost words name the variable and path.
    if (error instanceof GraphQLError && cause instanceof GraphQLError) {
      return replace(error, errorText(error.message), { code: 'INVALID_INPUT' });
    }
    if (cause instanceof SlipwayError) return replace(error, cause.message, toGraphQLError(cause).extensions);
    if (isTransient(cause)) {
      sayOutage(cause);
      return replace(error, 'The database cannot be reached at the moment. Try again.', {
        code: 'UNAVAILABLE',
        retryable: true,
      });
    }
    const errorId = randomUUID();
    onDefect();
    logger.error({ errorId, err: cause }, 'unexpected error in an operation');
    const trace = currentTrace();
    return replace(error, 'Something went wrong on our side. The log has it under the errorId.', {
      code: 'INTERNAL',
      errorId,
      ...(trace && { traceId: trace.traceId }),
    });
  };
}

function createOutageLog(logger: Logger): (cause: unknown) => void {
  let saidAt = Number.NEGATIVE_INFINITY;
  let unsaid = 0;
  return (cause) => {
    if (performance.now() - saidAt < SAY_AGAIN_MS) {
      unsaid += 1;
      return;
    }
    logger.warn({ err: cause, unsaid }, 'the database could not be reached');
    saidAt = performance.now();
    unsaid = 0;
  };
}

function rootCause(error: unknown): unknown {
  let cause = error;
  while (cause instanceof GraphQLError && cause.originalError) cause = cause.originalError;
  return cause;
}

function replace(error: unknown, message: string, extensions: Record<string, unknown>): GraphQLError {
  if (!(error instanceof GraphQLError)) return new GraphQLError(message, { extensions });
  const { nodes, source, positions, path } = error;
  return new GraphQLError(message, { nodes, source, positions, path, extensions });
}
