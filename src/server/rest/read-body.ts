import type { z } from '@hono/zod-openapi';
import { inputIssues } from '../../errors.ts';
import { sharedCode } from '../../std/shared-code.ts';
import type { Endpoint, Json } from './endpoint.ts';
import { Refusal } from './refusal.ts';

/** Of one object. */
const MAX_UNKNOWN = 10;

/** The body of a request, as its endpoint has it. Throws a Refusal: 400, 413 or 415. */
export async function readBody(request: Request, { body }: Endpoint, maxBytes: number): Promise<Json> {
  if (!body) return {};
  const { headers } = request;
  const isEmpty = headers.get('transfer-encoding') === null && Number(headers.get('content-length') ?? 0) === 0;
  if (isEmpty && body.optional) return {};
  refuseOtherBodies(headers);
  if (Number(headers.get('content-length') ?? 0) > maxBytes) throw tooLarge(maxBytes);
  const value = parse(await readText(request, maxBytes));
  check(body.schema, value, ['body']);
  // As it was sent: the use case checks it once more, with the same object, and remembers it under its key.
  return value as Json;
}

/** JSON only: no form of a foreign page can send that without asking first. */
function refuseOtherBodies(headers: Headers): void {
  const [type] = (headers.get('content-type') ?? '').split(';');
  if (type?.trim().toLowerCase() !== 'application/json') {
    throw new Refusal(415, 'UNSUPPORTED_MEDIA_TYPE', 'Send the body as application/json.');
  }
  if ((headers.get('content-encoding') ?? 'identity') !== 'identity') {
    throw new Refusal(415, 'UNSUPPORTED_CONTENT_ENCODING', 'Send the body as it is, not compressed.');
  }
}

async function readText(request: Request, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.length;
    if (size > maxBytes) throw tooLarge(maxBytes);
    chunks.push(chunk);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    throw notJson();
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw notJson();
  }
}

function tooLarge(maxBytes: number): Refusal {
  return new Refusal(413, 'PAYLOAD_TOO_LARGE', `A body has at most ${maxBytes} bytes.`, { limitBytes: maxBytes });
}

function notJson(): Refusal {
  return new Refusal(400, 'BAD_REQUEST', 'The body is not valid JSON in UTF-8.');
}

/** The parameters of a query; one that the endpoint has as a list may come more than once. Throws a Refusal: 400. */
export function readQuery(url: URL, { query }: Endpoint): Json {
  const names = new Set(url.searchParams.keys());
  const values = [...names].map((name) => {
    const all = url.searchParams.getAll(name);
    const isList = query?.shape[name]?.meta()?.isList === true;
    return [name, isList || all.length > 1 ? all : all[0]];
  });
  if (query) return check(query, Object.fromEntries(values), []);
  const [unknown] = names;
  if (unknown === undefined) return {};
  throw Refusal.invalid([{ path: [unknown], message: 'This route has no such parameter.' }]);
}

/** What the schema makes of it. Throws a Refusal with every issue. */
function check(schema: z.ZodObject, value: unknown, path: readonly string[]): Json {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const { issues } = parsed.error;
  const codes = issues.map((issue) => (issue.code === 'custom' ? issue.params?.code : undefined));
  throw Refusal.invalid(inputIssues({ issues: issues.flatMap(eachKey) }, path), sharedCode(codes));
}

/** One of each member that nobody knows, as far as these can be read. */
function eachKey(issue: z.core.$ZodIssue): Pick<z.core.$ZodIssue, 'path' | 'message'>[] {
  if (issue.code !== 'unrecognized_keys') return [issue];
  return issue.keys
    .slice(0, MAX_UNKNOWN)
    .map((key) => ({ path: [...issue.path, key], message: 'There is no such member.' }));
}
