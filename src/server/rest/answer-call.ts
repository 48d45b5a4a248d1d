/** One request of a known route: who sends it, what it says, what the operation makes of it. */
import type { HttpBindings } from '@hono/node-server';
import type { DocumentNode, ExecutionResult } from 'graphql';
import { validate } from 'graphql';
import type { Context } from 'hono';
import type { RateLimit } from '../../../schema/rate-limit.ts';
import type { Call, Endpoint, Json, Reply, RestDeps, Run } from './endpoint.ts';
import { readBody, readQuery } from './read-body.ts';
import { Refusal } from './refusal.ts';

/** Throws a Refusal, or what `Operations.mask` explains. */
export async function answerCall(deps: RestDeps, endpoint: Endpoint, context: Context): Promise<Response> {
  const { req, env } = context;
  const { incoming, outgoing } = env as HttpBindings;
  const address = incoming.socket.remoteAddress;
  const viewer = await deps.authenticator.identify({ authorization: req.header('authorization'), address });
  if (!viewer) throw Refusal.unauthenticated();
  const gone = new AbortController();
  outgoing.once('close', () => gone.abort());
  const call = await readCall(deps, endpoint, context, { viewer, gone: gone.signal });
  let rateLimit: RateLimit | null = null;
  const run: Run = async (variables) => {
    const document = checked(deps, endpoint.document);
    const all = { ...endpoint.variables(call), ...variables };
    const result = await deps.operations.execute({ document, variables: all, viewer, gone: () => gone.signal });
    rateLimit = (result.extensions?.rateLimit as RateLimit | undefined) ?? null;
    return answerOf(result, endpoint, call);
  };
  const reply = await (endpoint.reply ?? plainReply(endpoint))(run, call);
  return toResponse(endpoint, reply, rateLimit);
}

type Reader = Pick<Call, 'viewer' | 'gone'>;

/** What is refused here costs its sender a point, as a document does that is not valid. */
async function readCall(deps: RestDeps, endpoint: Endpoint, { req }: Context, reader: Reader): Promise<Call> {
  try {
    const url = new URL(req.url);
    const query = readQuery(url, endpoint);
    const body = await readBody(req.raw, endpoint, deps.limits.bodyBytes);
    const id = req.param('id') ?? '';
    return { deps, ...reader, id, query, body, headers: req.raw.headers, path: url.pathname, url };
  } catch (error) {
    const limited = await deps.operations.charge(reader.viewer);
    if (limited) throw Refusal.of(limited);
    throw error;
  }
}

function plainReply({ statuses }: Endpoint): NonNullable<Endpoint['reply']> {
  return async (run) => ({ status: Number(Object.keys(statuses)[0]), body: await run({}) });
}

const known = new WeakSet<DocumentNode>();

/** They are written by us, for this schema: one that is not valid for it is a defect. */
function checked({ schema }: RestDeps, document: DocumentNode): DocumentNode {
  if (known.has(document)) return document;
  const [error] = validate(schema, document);
  if (error) throw new Error(`A document of REST is not valid: ${error.message}`);
  known.add(document);
  return document;
}

/** Throws a Refusal for an error, for a refusal of the mutation, and for what is not there. */
function answerOf({ data, errors }: ExecutionResult, { answerAt, resource }: Endpoint, { id }: Call): Json {
  const [error] = errors ?? [];
  if (error) throw Refusal.of(error);
  const [root] = Object.values(data ?? {}) as (Json | null | undefined)[];
  if (!root) throw new Refusal(404, 'NOT_FOUND', `There is no ${resource} ${id.slice(0, 200)}.`, { resource });
  if (typeof root.__typename === 'string' && typeof root.code === 'string') throw Refusal.ofUserError(root);
  return answerAt === undefined ? root : (root[answerAt] as Json);
}

function toResponse(
  { successor }: Endpoint,
  { status, headers = {}, body }: Reply,
  rateLimit: RateLimit | null,
): Response {
  const all = new Headers({ ...headers, ...(rateLimit && limitHeaders(rateLimit)) });
  if (successor !== undefined) {
    all.set('deprecation', DEPRECATED_SINCE);
    all.append('link', `<${successor}>; rel="successor-version"`);
  }
  if (body === null) return new Response(null, { status, headers: all });
  return Response.json(body, { status, headers: all });
}

/** RFC 9745: a moment, as a structured field. */
const DEPRECATED_SINCE = `@${Date.UTC(2026, 10, 1) / 1_000}`;

/** What every answer of GraphQL has in `extensions.rateLimit`, as draft-ietf-httpapi-ratelimit-headers writes it. */
function limitHeaders({ limit, remaining, resetAt }: RateLimit) {
  const seconds = Math.max(0, Math.ceil((resetAt.getTime() - Date.now()) / 1_000));
  return { 'ratelimit-policy': `"points";q=${limit};w=60`, ratelimit: `"points";r=${remaining};t=${seconds}` };
}
