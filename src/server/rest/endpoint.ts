/** One route of the REST API as data: how it is called, which GraphQL operation it is, and what it promises to answer. */
import type { z } from '@hono/zod-openapi';
import type { DocumentNode, GraphQLSchema } from 'graphql';
import type { Scope } from '../../auth/scope.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { Orchestrator } from '../../orchestrator.ts';
import type { Authenticator } from '../authenticator.ts';
import type { ServerLimits } from '../limits.ts';
import type { Operations } from '../operations.ts';
import type { TokenWatch } from '../token-watch.ts';
import type { LongPolls } from './long-polls.ts';

export interface RestDeps {
  readonly orchestrator: Orchestrator;
  readonly schema: GraphQLSchema;
  /** Without spans of their own: a request is one. */
  readonly operations: Operations;
  readonly authenticator: Authenticator;
  readonly tokens: TokenWatch;
  readonly longPolls: LongPolls;
  readonly limits: ServerLimits;
}

export type Json = Readonly<Record<string, unknown>>;

/** What came, checked. */
export interface Call {
  readonly deps: RestDeps;
  readonly viewer: Viewer;
  /** `{id}` of the path. */
  readonly id: string;
  readonly query: Json;
  readonly body: Json;
  readonly headers: Headers;
  /** Without its query. */
  readonly path: string;
  readonly url: URL;
  /** Aborts when the caller has gone. */
  readonly gone: AbortSignal;
}

export interface Reply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Null: none. */
  readonly body: Json | null;
}

/** Executes the endpoint's operation: what its answer is made of. Throws a Refusal. */
export type Run = (variables: Json) => Promise<Json>;

export interface Endpoint {
  readonly method: 'get' | 'post';
  /** `/builds/{id}` */
  readonly path: string;
  readonly tag: 'builds' | 'work';
  /** Of the operation, in the OpenAPI document. */
  readonly name: string;
  readonly summary: string;
  readonly description?: string;
  readonly scopes: readonly Scope[];
  /** It is deprecated: another route that does the same. */
  readonly successor?: string;
  /** A GET that changes something: there is no HEAD of it. */
  readonly changes?: true;
  readonly query?: z.ZodObject;
  readonly body?: { readonly schema: z.ZodObject; readonly optional?: true; readonly example: Json };
  /** Headers that it looks at: name -> what for. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Status -> when. All but 204 and 304 have the answer as their body; the first is the usual one. */
  readonly statuses: Readonly<Record<number, string>>;
  /** Beside those that every route may give: see `openapi.ts`. */
  readonly refusals?: readonly number[];
  /** One operation with one root field. */
  readonly document: DocumentNode;
  /** Where in the root field's answer this one's answer lies; by default it is all of it. */
  readonly answerAt?: string;
  /** What is not there when the root field is null. */
  readonly resource?: string;
  readonly variables: (call: Call) => Json;
  /** By default the first status with the operation's answer. */
  readonly reply?: (run: Run, call: Call) => Promise<Reply>;
}
