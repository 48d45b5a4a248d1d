/** Parses, checks and executes operations: the one way for HTTP, SSE and WebSocket, so that all keep the same limits. */
import {
  type DocumentNode,
  type ExecutionResult,
  GraphQLError,
  type GraphQLSchema,
  type ValidatedExecutionArgs,
} from 'graphql';
import { type Context, createContext } from '../../schema/context.ts';
import { ResponseBudget } from '../../schema/response-budget.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Orchestrator } from '../orchestrator.ts';
import { createAdmission, withRateLimit } from './admission.ts';
import { Deadline } from './deadline.ts';
import { createDocuments, type PreparedDocument } from './documents.ts';
import { executeSelections } from './execute-selections.ts';
import type { ServerLimits } from './limits.ts';
import { createErrorMask } from './mask-error.ts';
import type { RateLimits } from './rate-limits.ts';
import { createOperationReader } from './read-operation.ts';
import { SharedExecutions } from './shared-executions.ts';
import { SharedQueries } from './shared-queries.ts';
import { subscribe } from './subscribe.ts';
import type { NewSubscription, ResultStream, Subscriptions } from './subscriptions.ts';
import type { Place } from './token-counter.ts';
import type { TokenWatch } from './token-watch.ts';

export interface OperationsOptions {
  readonly orchestrator: Orchestrator;
  readonly schema: GraphQLSchema;
  readonly limits: ServerLimits;
  readonly subscriptions: Subscriptions;
  readonly tokens: TokenWatch;
  /** Null where nothing is limited. */
  readonly rateLimits: RateLimits | null;
  /** Where this server can be reached; null before its port is open. */
  readonly serverUrl: () => string | null;
  /** The server ends: whoever waits for something is answered. */
  readonly closing: AbortSignal;
}

export interface Operation {
  /** From `prepare`. */
  readonly document: DocumentNode;
  readonly operationName?: string | null | undefined;
  readonly variables?: Readonly<Record<string, unknown>> | null | undefined;
  readonly viewer: Viewer;
  /** W3C Trace Context of the request. */
  readonly traceparent?: string | null | undefined;
  /** Aborts when its caller has gone; asked for by who waits for something. */
  readonly gone?: (() => AbortSignal) | undefined;
  /** What it is sent over is closed when its token is lost: it need not watch for that itself. */
  readonly endsWithToken?: boolean | undefined;
}

export interface Operations {
  readonly schema: GraphQLSchema;
  /** Parses and validates: see `createDocuments` for the codes. What is refused costs its sender a point. */
  prepare(query: string, viewer: Viewer): Promise<PreparedDocument>;
  /** A query or mutation. Never rejects: the result's errors are ready for the caller. */
  execute(operation: Operation): Promise<ExecutionResult>;
  /** A subscription, or the one result that says why there is none. Never rejects. */
  subscribe(operation: Operation): Promise<ResultStream | ExecutionResult>;
  /** For what is refused before it is an operation: see `Admission.charge`. */
  charge(viewer: Viewer): Promise<GraphQLError | null>;
  /** A result of `execute` without errors in JSON. */
  write(result: ExecutionResult): string;
  mask(error: unknown): GraphQLError;
}

export function createOperations(options: OperationsOptions): Operations {
  const { orchestrator, schema, limits } = options;
  const showSchema = orchestrator.config.introspection ?? false;
  const prepare = createDocuments({ schema, showSchema });
  const mask = createErrorMask(orchestrator.logger, () => orchestrator.telemetry.systemError('api'));
  const masked = (result: ExecutionResult): ExecutionResult =>
    result.errors ? { ...result, errors: result.errors.map(mask) } : result;
  const { admit, charge } = createAdmission({ limits, rateLimits: options.rateLimits, mask });
  const contextOf = (viewer: Viewer) =>
    createContext(orchestrator, viewer, { serverUrl: options.serverUrl(), isMeasured: true });
  const executions = new SharedExecutions({
    newContext: contextOf,
    onShared: ({ responseBudget }) => responseBudget.extend(),
    finish: masked,
  });
  const queries = new SharedQueries(schema);
  const reader = createOperationReader({ schema, showSchema, mask });

  return {
    schema,
    mask,
    charge,
    async prepare(query, viewer) {
      const prepared = prepare(query);
      const limited = prepared.ok ? null : await charge(viewer);
      return limited ? { ok: false, errors: [limited] } : prepared;
    },
    async execute(operation) {
      const { viewer } = operation;
      const known = reader.read(operation);
      const admitted = await admit(viewer, known.ok ? known.args : null);
      if (!admitted.ok) return admitted.refused;
      const { rateLimit, place } = admitted;
      try {
        if (!known.ok) return withRateLimit(masked({ errors: known.errors }), rateLimit);
        const key = queries.keyOf(operation);
        const run = (own: OwnRequest | null) => runOperation({ options, masked, mask }, { ...known, operation, own });
        const result = key === null ? run({ rateLimit }) : queries.run(key, () => run(null));
        return withRateLimit(await result, rateLimit);
      } finally {
        place.leave();
      }
    },
    write: (result) => queries.write(result),
    async subscribe(operation) {
      const { viewer } = operation;
      const known = reader.readSubscription(operation);
      const admitted = await admit(viewer, known.ok ? known.args : null);
      if (!admitted.ok) return admitted.refused;
      const { place } = admitted;
      try {
        const stream = known.ok
          ? await subscribe({ args: { ...known.args, contextValue: contextOf(viewer) }, viewer, executions })
          : { errors: known.errors };
        if ('take' in stream) {
          const watch = operation.endsWithToken ? () => place : watchToken(options.tokens, viewer, place);
          return options.subscriptions.add({ source: stream, watch, explain: mask });
        }
        place.leave();
        return masked(stream);
      } catch (error) {
        place.leave();
        return { errors: [mask(error)] };
      }
    },
  };
}

/** What is of one request alone. */
type OwnRequest = Pick<Context, 'rateLimit'>;

interface RunDeps {
  readonly options: OperationsOptions;
  readonly masked: (result: ExecutionResult) => ExecutionResult;
  readonly mask: (error: unknown) => GraphQLError;
}

interface Run {
  readonly args: ValidatedExecutionArgs;
  readonly operation: Operation;
  /** Null when others are told the same. */
  readonly own: OwnRequest | null;
}

/** Never rejects. */
async function runOperation(
  { options, masked, mask }: RunDeps,
  { args, operation, own }: Run,
): Promise<ExecutionResult> {
  const { orchestrator, limits } = options;
  // One for all that ends it early: signals that follow others are dear.
  const cut = new AbortController();
  using deadline = new Deadline(limits.operationMs, () => cut.abort(timeoutError(limits.operationMs)));
  using waiting = openWaiting(options, operation, deadline);
  const responseBudget = new ResponseBudget(cut);
  try {
    const request = { ...own, responseBudget, serverUrl: options.serverUrl(), wait: waiting.wait, isMeasured: true };
    const context = createContext(orchestrator, operation.viewer, request);
    const contextValue = own ? context : withoutRequest(context);
    return masked(await executeSelections({ ...args, contextValue, externalAbortSignal: cut.signal }));
  } catch (error) {
    return { errors: [mask(cut.signal.aborted ? cut.signal.reason : error)] };
  }
}

/** For an operation that waits: see `Context.wait`. */
function openWaiting({ tokens, closing }: OperationsOptions, { viewer, gone }: Operation, deadline: Deadline) {
  let lost: AbortController | null = null;
  let unwatch: (() => void) | null = null;
  return {
    wait(ms: number): AbortSignal {
      deadline.extend(ms);
      const ends = lost ?? new AbortController();
      lost = ends;
      unwatch ??= tokens.watch(viewer, () => ends.abort());
      return AbortSignal.any([closing, ends.signal, ...(gone ? [gone()] : [])]);
    },
    [Symbol.dispose]: () => unwatch?.(),
  };
}

/** For an execution whose answer others are given, too. */
function withoutRequest(context: Context): Context {
  const refuse = () => {
    throw new Error('A shared query looks at its request: mark the field with perRequest.');
  };
  return Object.create(context, { rateLimit: { get: refuse }, wait: { value: refuse } });
}

/** Apart, so that what watches holds nothing of the operation's beginning. */
function watchToken(tokens: TokenWatch, viewer: Viewer, place: Place): NewSubscription['watch'] {
  return (end) => {
    const unwatch = tokens.watch(viewer, () => end(lostToken()));
    return {
      leave() {
        unwatch();
        place.leave();
      },
    };
  };
}

function timeoutError(limitMs: number): GraphQLError {
  return new GraphQLError(
    `This took longer than ${limitMs} ms and was given up. A mutation may still have taken effect: repeat it with the same idempotency key.`,
    { extensions: { code: 'TIMEOUT', retryable: true } },
  );
}

function lostToken(): GraphQLError {
  return new GraphQLError('The token was revoked, replaced, or has expired.', {
    extensions: { code: 'UNAUTHENTICATED' },
  });
}
