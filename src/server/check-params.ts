/** The members of a request's body, in the words that Yoga has for what is wrong with them. */
import type { GraphQLParams } from 'graphql-yoga';
import { refusal } from './http-status.ts';

const PARAMS: ReadonlySet<string> = new Set(['query', 'variables', 'operationName', 'extensions']);
const BOTH_METHODS = { Allow: 'GET, POST' };

/** What Yoga does not check, or answers with 200. */
export function checkQuery({ query, operationName }: GraphQLParams): void {
  if (query === undefined || query === null) throw refusal(400, 'BAD_REQUEST', 'Send the operation as "query".');
  const name: unknown = operationName ?? '';
  if (typeof name !== 'string') throw refusal(400, 'BAD_REQUEST', '"operationName" is not a string.');
}

/** The parameters that a body is. Throws a refusal. */
export function readParams(body: string): GraphQLParams & { readonly query: string } {
  const params = parseBody(body);
  if (Array.isArray(params)) throw refusal(400, 'BAD_REQUEST', 'Batching is not supported.');
  checkQuery(params);
  for (const name in params) {
    if ((params as Readonly<Record<string, unknown>>)[name] == null || PARAMS.has(name)) continue;
    throw refusal(400, 'BAD_REQUEST', `Unexpected parameter "${name}" in the request body.`);
  }
  const { query, variables, extensions } = params as Readonly<Record<string, unknown>>;
  if (typeof query !== 'string') throw wrongType('Expected "query" param to be a string', query);
  if (!isObjectOrNone(variables)) throw wrongType('Expected "variables" param to be empty or an object', variables);
  if (!isObjectOrNone(extensions)) throw wrongType('Expected "extensions" param to be empty or an object', extensions);
  return { ...params, query };
}

function parseBody(text: string): GraphQLParams | unknown[] {
  const body = parseJson(text);
  if (typeof body === 'object' && body !== null) return body;
  const is = body === null ? 'null' : typeof body;
  throw refusal(400, 'BAD_REQUEST', `POST body is expected to be object but received ${is}`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw notJson();
  }
}

export function notJson() {
  return refusal(400, 'BAD_REQUEST', 'The request is not valid JSON.');
}

function wrongType(expected: string, value: unknown) {
  const is = Array.isArray(value) ? 'array' : typeof value;
  return refusal(400, 'BAD_REQUEST', `${expected}, but given ${is}.`, BOTH_METHODS);
}

function isObjectOrNone(value: unknown): boolean {
  return (typeof value === 'object' || value === undefined) && !Array.isArray(value);
}
