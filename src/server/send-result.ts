/** The answer to an operation, in the bytes that Yoga would send. */
import type { ServerResponse } from 'node:http';
import type { ExecutionResult, GraphQLError, GraphQLFormattedError } from 'graphql';
import type { AnswerType } from './accepted-type.ts';
import { PROTECTION } from './protection.ts';

interface HttpExtension {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly spec?: boolean;
}

export interface Answered {
  readonly result: ExecutionResult;
  readonly type: AnswerType;
  /** Of a result without errors. */
  readonly write: (result: ExecutionResult) => string;
}

/** The result's errors say the status, see `withStatus`. Throws what JSON cannot write; then nothing is sent. */
export function sendResult(response: ServerResponse, { result, type, write }: Answered): void {
  const { errors } = result;
  const contentType = `${type}; charset=utf-8`;
  if (!errors?.length) {
    send(response, 200, ['Content-Type', contentType], write(result));
    return;
  }
  const body = JSON.stringify({ ...result, errors: errors.map(withoutHttp) });
  const headers = Object.assign({ 'Content-Type': contentType }, ...errors.map((error) => httpOf(error)?.headers));
  send(response, statusOf(result, type), Object.entries<string>(headers).flat(), body);
}

/** `headers`: names and values in turn. */
function send(response: ServerResponse, status: number, headers: readonly string[], body: string): void {
  if (response.destroyed || response.writableEnded) return;
  const length = String(Buffer.byteLength(body));
  response.writeHead(status, [...PROTECTION, ...headers, 'content-length', length]);
  response.end(body);
}

/** The highest that an error asks for; those of the specification are not for `application/json`. */
function statusOf({ errors = [] }: ExecutionResult, type: AnswerType): number {
  const statuses = errors.flatMap((error) => {
    const http = httpOf(error);
    return http?.status === undefined || (http.spec && type === 'application/json') ? [] : [http.status];
  });
  return statuses.length > 0 ? Math.max(...statuses) : 200;
}

function httpOf({ extensions }: GraphQLError): HttpExtension | undefined {
  return extensions.http as HttpExtension | undefined;
}

function withoutHttp(error: GraphQLError): GraphQLFormattedError {
  const { extensions: { http: _http, ...extensions } = {}, ...rest } = error.toJSON();
  return Object.keys(extensions).length > 0 ? { ...rest, extensions } : rest;
}
