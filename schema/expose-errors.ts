/**
 * Turns what the domain refuses into top-level errors with a code: the one table of those codes. Mutations catch most of
 * them first, as members of their result unions. An error of any other kind passes unchanged, for the server to mask.
 */
import SchemaBuilder, { BasePlugin, type PothosOutputFieldConfig, type SchemaTypes } from '@pothos/core';
import { GraphQLError, type GraphQLFieldResolver } from 'graphql';
import {
  ForbiddenError,
  InvalidInputError,
  NotFoundError,
  OverloadedError,
  RateLimitedError,
  ResponseTooLargeError,
  SlipwayError,
  UnavailableError,
} from '../src/errors.ts';

export const exposeErrorsPlugin = 'exposeErrors';

declare global {
  export namespace PothosSchemaTypes {
    interface Plugins<Types extends SchemaTypes> {
      exposeErrors: ExposeErrorsPlugin<Types>;
    }
  }
}

type Resolve = GraphQLFieldResolver<unknown, object>;

class ExposeErrorsPlugin<Types extends SchemaTypes> extends BasePlugin<Types> {
  override wrapResolve(resolver: Resolve): Resolve {
    return exposing(resolver);
  }

  override wrapSubscribe(subscriber: Resolve | undefined, _field: PothosOutputFieldConfig<Types>): Resolve | undefined {
    return subscriber && exposing(subscriber);
  }
}

SchemaBuilder.registerPlugin(exposeErrorsPlugin, ExposeErrorsPlugin);

function exposing(resolve: Resolve): Resolve {
  return (...args) => {
    try {
      const result: unknown = resolve(...args);
      return result instanceof Promise ? result.catch(rethrow) : result;
    } catch (error) {
      return rethrow(error);
    }
  };
}

function rethrow(error: unknown): never {
  throw error instanceof SlipwayError ? toGraphQLError(error) : error;
}

export function toGraphQLError(error: SlipwayError): GraphQLError {
  return new GraphQLError(error.message, { originalError: error, extensions: { code: error.code, ...details(error) } });
}

function details(error: SlipwayError): Record<string, unknown> {
  if (error instanceof InvalidInputError) return { issues: error.issues };
  if (error instanceof NotFoundError) return { resource: error.resource };
  if (error instanceof ForbiddenError) return { requiredScope: error.requiredScope };
  if (error instanceof ResponseTooLargeError) return { limitBytes: error.limitBytes };
  if (error instanceof RateLimitedError) return { retryable: true, retryAfter: error.retryAfter };
  if (error instanceof OverloadedError) return { retryable: true, retryAfter: error.retryAfter };
  if (error instanceof UnavailableError) return { retryable: true };
  return {};
}
