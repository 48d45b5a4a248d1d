/** The OpenAPI 3.1 document, made of the endpoints, the zod objects of their inputs, and the schema of their answers. */
import { OpenAPIHono, type RouteConfig, z } from '@hono/zod-openapi';
import type { GraphQLSchema } from 'graphql';
import { VERSION } from '../../std/version.ts';
import { AnswerSchemas } from './answer-schema.ts';
import { describeInput } from './describe-input.ts';
import type { Endpoint } from './endpoint.ts';

type Responses = RouteConfig['responses'];

const PROBLEM = z
  .looseObject({
    type: z.string().describe('`urn:slipway:problem:` and the code.'),
    title: z.string().describe('The words of the status.'),
    status: z.int().describe('The status of the answer.'),
    detail: z.string().describe('What happened, for people.'),
    code: z.string().describe('For programs: the codes are those of GraphQL.'),
    traceId: z.string().optional().describe('Of the request, as W3C Trace Context has it: for whoever reads the logs.'),
    errors: z
      .array(
        z.strictObject({
          detail: z.string().describe('What is wrong, or what would be right.'),
          pointer: z.string().optional().describe('Where in the body: a JSON pointer, as the fragment of a URI.'),
          parameter: z.string().optional().describe('Which parameter of the path or the query.'),
        }),
      )
      .optional()
      .describe('All that is wrong with what was sent.'),
  })
  .openapi('Problem', {
    example: {
      type: 'urn:slipway:problem:not-found',
      title: 'Not Found',
      status: 404,
      detail: 'There is no build build_0199f3a0000070008000000000000000.',
      code: 'NOT_FOUND',
      traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
    },
  });

const REFUSALS: Readonly<Record<number, string>> = {
  400: 'What was sent is not valid; errors has all of it.',
  401: 'There is no valid token.',
  403: 'The token lacks a scope, or the page that calls is of an origin that may not.',
  404: 'There is no such thing, or this token may not know that there is.',
  405: 'Another method: see the header Allow.',
  409: 'It is not in a state that allows this; the code says why.',
  413: 'The body is too large.',
  415: 'The body is not application/json.',
  422: 'The idempotency key was used before, with another input.',
  429: 'Too much was asked for in too short a time: see Retry-After.',
  500: 'Something went wrong on our side.',
  503: 'Try again later: see Retry-After.',
};
const ALWAYS = [400, 401, 403, 405, 429, 500, 503];

/** Gives a function that makes the document when it is first asked for. */
export function createDocumentation(schema: GraphQLSchema, endpoints: readonly Endpoint[]): () => Promise<object> {
  let made: Promise<object> | null = null;
  return () => {
    made ??= Promise.resolve().then(() => document(schema, endpoints));
    return made;
  };
}

/** The zod object of each answer of an endpoint below 300; null for one without a body. */
function answersOf(schemas: AnswerSchemas, endpoint: Endpoint): Map<number, z.ZodType | null> {
  const { statuses } = endpoint;
  const answer = schemas.of(endpoint.document, endpoint.answerAt);
  return new Map(
    Object.keys(statuses).map((status) => [Number(status), NO_BODY.has(Number(status)) ? null : answer] as const),
  );
}

const NO_BODY: ReadonlySet<number> = new Set([204, 304]);

function document(schema: GraphQLSchema, endpoints: readonly Endpoint[]): object {
  const app = new OpenAPIHono();
  const { openAPIRegistry: registry } = app;
  registry.registerComponent('securitySchemes', 'token', {
    type: 'http',
    scheme: 'bearer',
    description: 'A token of `slipway token create`: `slipway_…`. The roles of a route are the scopes that it needs.',
  });
  const schemas = new AnswerSchemas(schema);
  for (const endpoint of endpoints) registry.registerPath(toRoute(schema, schemas, endpoint));
  return app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: {
      title: 'Slipway',
      version: VERSION,
      license: { name: 'MIT' },
      description:
        'Let agents change projects, over REST. Every route is the GraphQL operation of its name, with the same rights, ' +
        'limits and ids; errors are RFC 9457 problems.',
    },
    servers: [{ url: '/' }],
    tags: [
      { name: 'builds', description: 'Builds and their projects.' },
      {
        name: 'work',
        description: 'Tasks: put into the queue by anybody, and done by workers that reach only the API.',
      },
    ],
  });
}

function toRoute(schema: GraphQLSchema, schemas: AnswerSchemas, endpoint: Endpoint): RouteConfig {
  const { method, path, name, summary, description, query, body, headers, scopes, successor } = endpoint;
  const parameters = [...path.matchAll(/\{(\w+)\}/g)].map(([, parameter = '']) => [parameter, idOf(path)] as const);
  return {
    method,
    path,
    operationId: name,
    summary,
    tags: [endpoint.tag],
    ...(description !== undefined && { description }),
    ...(successor !== undefined && { deprecated: true }),
    security: [{ token: [...scopes] }],
    request: {
      ...(parameters.length > 0 && { params: z.object(Object.fromEntries(parameters)) }),
      ...(query && { query }),
      ...(headers && {
        headers: z.object(
          Object.fromEntries(
            Object.entries(headers).map(([header, why]) => [header, z.string().optional().describe(why)]),
          ),
        ),
      }),
      ...(body && {
        body: {
          required: !body.optional,
          content: { 'application/json': { schema: describeInput(schema, endpoint), example: body.example } },
        },
      }),
    },
    responses: responsesOf(schemas, endpoint),
  };
}

const NOUNS: Readonly<Record<string, string>> = { builds: 'build', projects: 'project', work: 'task' };

function idOf(path: string): z.ZodType {
  const noun = NOUNS[path.split('/')[1] ?? ''] ?? '';
  return z
    .string()
    .openapi({ description: `Its id: \`${noun}_…\`.`, example: `${noun}_0199f3a0000070008000000000000000` });
}

function responsesOf(schemas: AnswerSchemas, endpoint: Endpoint): Responses {
  const responses: Responses = {};
  for (const [status, answer] of answersOf(schemas, endpoint)) {
    const described = { description: endpoint.statuses[status] ?? '' };
    responses[status] = answer ? { ...described, content: { 'application/json': { schema: answer } } } : described;
  }
  const hasPath = endpoint.path.includes('{') ? [404] : [];
  const hasBody = endpoint.body ? [413, 415] : [];
  for (const status of [...ALWAYS, ...hasPath, ...hasBody, ...(endpoint.refusals ?? [])]) {
    const content = { 'application/problem+json': { schema: PROBLEM } };
    responses[status] = { description: REFUSALS[status] ?? '', content, ...retryAfter(status) };
  }
  return responses;
}

function retryAfter(status: number) {
  if (status !== 429 && status !== 503) return {};
  return { headers: { 'Retry-After': { description: 'Whole seconds.', schema: { type: 'integer' as const } } } };
}
