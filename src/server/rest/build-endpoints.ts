/** Builds over REST. Each route is the GraphQL operation of the same name. */
import { createHash } from 'node:crypto';
import { z } from '@hono/zod-openapi';
import { DEFAULT_PAGE } from '../../../schema/limits.ts';
import { type BuildSummary, findBuildSummaries, isFinished } from '../../builds/build.ts';
import { buildSpecInput } from '../../builds/build-spec.ts';
import { eventsTopic } from '../../events/topics.ts';
import { BUILD_STATUSES, type BuildStatus } from '../../events/vocabulary.ts';
import { projectInput } from '../../projects/create-project.ts';
import { fromPublicId } from '../../std/public-id.ts';
import { namesTag } from '../entity-tag.ts';
import {
  CANCEL_BUILD,
  CREATE_AND_BUILD,
  GET_BUILD,
  LIST_BUILDS,
  LIST_EVENTS,
  RETRY_BUILD,
  START_BUILD,
} from './build-documents.ts';
import type { Call, Endpoint, Json, Reply, Run } from './endpoint.ts';
import { KEY_HEADER, withKey } from './idempotency-key.ts';
import {
  afterCursor,
  beforeCursor,
  dateTime,
  listOf,
  pageSize,
  preferredWait,
  waitSeconds,
  wholeNumber,
} from './parameters.ts';

/** As `buildSpecInput`, but JSON has no dates. */
const spec = buildSpecInput.extend({ runAfter: dateTime.nullish() });
const idempotencyKey = z.string().max(255).nullish();

const SOURCES = [
  'API',
  'RETRY',
  'WEBHOOK',
  'SCHEDULE',
  'WORKFLOW',
] as const satisfies readonly BuildSummary['source'][];

const SPEC_EXAMPLE = { prompt: 'Add a dark theme.', branch: 'main', labels: [{ key: 'team', value: 'web' }] };
const ACCEPTED = {
  201: 'Accepted: durable, and in the queue. `Location` names it.',
  200: 'It was there before: same key, same input.',
};

interface BuildAnswer extends Json {
  readonly id: string;
  readonly status: BuildStatus;
}

export const BUILD_ENDPOINTS: readonly Endpoint[] = [
  {
    method: 'post',
    path: '/projects/{id}/builds',
    tag: 'builds',
    name: 'startBuild',
    summary: 'Let an agent change a project',
    scopes: ['builds:write'],
    headers: KEY_HEADER,
    body: {
      schema: z.strictObject({ spec, resumeFrom: z.string().max(100).nullish(), idempotencyKey }),
      example: { spec: SPEC_EXAMPLE, idempotencyKey: 'theme-1' },
    },
    document: START_BUILD,
    statuses: ACCEPTED,
    refusals: [409, 422],
    variables: (call) => ({ input: { ...withKey(call), projectId: call.id } }),
    reply: accepted,
  },
  {
    method: 'get',
    path: '/projects/{id}/builds',
    tag: 'builds',
    name: 'listBuilds',
    summary: 'The builds of a project, newest first',
    description: 'The header `Link` has the next and the previous page.',
    scopes: ['builds:read'],
    query: z.strictObject({
      status: listOf(z.enum(BUILD_STATUSES)).describe('Any of these.'),
      provider: listOf(z.string().max(100)).describe('Any of these agents.'),
      source: listOf(z.enum(SOURCES)).describe('What started it: any of these.'),
      label: listOf(z.string().regex(/^[^=]+=/, 'must be key=value')).describe('All of these: `key=value`.'),
      template: z.string().max(200).optional().describe('`name@version`, or `name` for every version.'),
      branch: z.string().max(500).optional().describe('This branch.'),
      number: wholeNumber(1, 2_147_483_647).describe('This number.'),
      createdFrom: dateTime.optional().describe('Accepted then or later.'),
      createdTo: dateTime.optional().describe('Accepted before.'),
      order: z.enum(['ASC', 'DESC']).optional().describe('ASC: oldest first.'),
      limit: pageSize,
      after: afterCursor,
      before: beforeCursor,
    }),
    document: LIST_BUILDS,
    answerAt: 'page',
    resource: 'project',
    statuses: { 200: 'One page of them.' },
    variables: listVariables,
    async reply(run, call) {
      const body = await run(call.query);
      return { status: 200, headers: links(call, body), body };
    },
  },
  {
    method: 'post',
    path: '/projects/create-and-build',
    tag: 'builds',
    name: 'createAndBuild',
    summary: 'Make a project and start its first build: both or neither',
    scopes: ['projects:write', 'builds:write'],
    headers: KEY_HEADER,
    body: {
      schema: z.strictObject({ project: projectInput, spec, idempotencyKey }),
      example: { project: { name: 'My site', template: 'static-site' }, spec: { prompt: 'Build a site about tea.' } },
    },
    document: CREATE_AND_BUILD,
    statuses: ACCEPTED,
    refusals: [409, 422],
    variables: (call) => ({ input: withKey(call) }),
    reply: accepted,
  },
  {
    method: 'get',
    path: '/builds/{id}',
    tag: 'builds',
    name: 'getBuild',
    summary: 'A build',
    description:
      'With `Prefer: wait=30` or `waitSeconds=30` the answer waits until the build has ended, or the time is over. ' +
      '`If-None-Match` with the `ETag` of an earlier answer gives 304 while nothing has changed.',
    scopes: ['builds:read'],
    headers: {
      Prefer: '`wait=30`: as waitSeconds.',
      'If-None-Match': 'Tags of answers that the caller has.',
    },
    query: z.strictObject({ waitSeconds }),
    document: GET_BUILD,
    resource: 'build',
    statuses: { 200: 'The build.', 304: 'It is what the caller has.' },
    variables: ({ id }) => ({ id }),
    reply: getBuild,
  },
  {
    method: 'post',
    path: '/builds/{id}/cancel',
    tag: 'builds',
    name: 'cancelBuild',
    summary: 'End a build',
    scopes: ['builds:write'],
    body: {
      schema: z.strictObject({ reason: z.string().max(1_000).nullish() }),
      optional: true,
      example: { reason: 'Not needed any more.' },
    },
    document: CANCEL_BUILD,
    statuses: { 200: 'It was waiting, and is CANCELLED.', 202: 'Asked for: it ends when its processes are dead.' },
    refusals: [409],
    variables: ({ id, body }) => ({ input: { ...body, id } }),
    async reply(run) {
      const body = await run({});
      return { status: isFinished((body.build as BuildAnswer).status) ? 200 : 202, body };
    },
  },
  {
    method: 'post',
    path: '/builds/{id}/retry',
    tag: 'builds',
    name: 'retryBuild',
    summary: 'Start a finished build again, as a new build with the same spec',
    scopes: ['builds:write'],
    headers: KEY_HEADER,
    body: {
      schema: z.strictObject({ resumeSession: z.boolean().nullish(), idempotencyKey }),
      optional: true,
      example: { resumeSession: true },
    },
    document: RETRY_BUILD,
    statuses: ACCEPTED,
    refusals: [409, 422],
    variables: (call) => ({ input: { ...withKey(call), id: call.id } }),
    reply: accepted,
  },
  {
    method: 'get',
    path: '/builds/{id}/events',
    tag: 'builds',
    name: 'listBuildEvents',
    summary: 'What has happened to a build, in order',
    description: 'Go on with `after` = the endCursor of the page before; FINISHED is always the last event.',
    scopes: ['builds:read'],
    query: z.strictObject({ after: afterCursor, limit: pageSize }),
    document: LIST_EVENTS,
    answerAt: 'page',
    resource: 'build',
    statuses: { 200: 'One page of events.' },
    variables: ({ id, query: { after, limit } }) => ({ id, after, first: limit }),
  },
];

async function accepted(run: Run): Promise<Reply> {
  const body = await run({});
  const { id } = body.build as BuildAnswer;
  return { status: body.deduplicated ? 200 : 201, headers: { location: `/builds/${id}` }, body };
}

async function getBuild(run: Run, call: Call): Promise<Reply> {
  let build = (await run({})) as BuildAnswer;
  const preferred = preferredWait(call.headers.get('prefer'));
  const seconds = (call.query.waitSeconds as number | undefined) ?? preferred ?? 0;
  if (seconds > 0 && !isFinished(build.status)) {
    await untilEnded(call, build.id, seconds);
    build = (await run({})) as BuildAnswer;
  }
  const etag = tagOf(build);
  const headers = {
    etag: `W/${etag}`,
    'cache-control': 'private, no-cache',
    vary: 'Authorization, Prefer',
    ...(preferred !== null && call.query.waitSeconds === undefined && { 'preference-applied': `wait=${preferred}` }),
  };
  const isKnown = namesTag(call.headers.get('if-none-match') ?? undefined, etag);
  return { status: isKnown ? 304 : 200, headers, body: isKnown ? null : build };
}

async function untilEnded({ deps, viewer, gone }: Call, publicId: string, seconds: number): Promise<void> {
  const id = fromPublicId('build', publicId);
  if (id === null) throw new Error('a build whose id is none');
  const { db, hub } = deps.orchestrator;
  await deps.longPolls.wait({
    viewer,
    seconds,
    gone,
    tokens: deps.tokens,
    listen: (wake) => hub.on(eventsTopic(id), wake),
    async look() {
      const [build] = await findBuildSummaries(db, [id]);
      return !build || isFinished(build.status);
    },
  });
}

/** The times that go on by themselves do not make it another one. */
function tagOf(build: BuildAnswer): string {
  const { durationMs, queuedMs, ...facts } = build;
  const all = isFinished(build.status) ? build : facts;
  return `"${createHash('sha256').update(JSON.stringify(all)).digest('base64url')}"`;
}

function listVariables({ id, query }: Call): Json {
  const { limit, after, before, order, createdFrom, createdTo, label, ...filter } = query;
  const labels = (label as string[] | undefined)?.map((text) => {
    const at = text.indexOf('=');
    return { key: text.slice(0, at), value: text.slice(at + 1) };
  });
  const size = (limit as number | undefined) ?? null;
  const isBackwards = before !== undefined && after === undefined;
  return {
    id,
    filter: { ...filter, label: labels, createdAt: { from: createdFrom, to: createdTo } },
    orderBy: order ? { field: 'CREATED_AT', direction: order } : null,
    ...(isBackwards ? { last: size ?? DEFAULT_PAGE } : { first: size }),
    after,
    before,
  };
}

interface PageInfo {
  readonly hasNextPage: boolean;
  readonly hasPreviousPage: boolean;
  readonly startCursor: string | null;
  readonly endCursor: string | null;
}

/** RFC 8288: the same query at another place. */
function links({ path, url }: Call, body: Json): Readonly<Record<string, string>> {
  const { hasNextPage, hasPreviousPage, startCursor, endCursor } = body.pageInfo as PageInfo;
  const link = (relation: string, place: Readonly<Record<string, string>>) => {
    const parameters = new URLSearchParams(url.searchParams);
    parameters.delete('after');
    parameters.delete('before');
    for (const [name, value] of Object.entries(place)) parameters.set(name, value);
    const text = parameters.toString();
    return `<${path}${text === '' ? '' : `?${text}`}>; rel="${relation}"`;
  };
  const all = [
    link('first', {}),
    ...(hasNextPage && endCursor !== null ? [link('next', { after: endCursor })] : []),
    ...(hasPreviousPage && startCursor !== null ? [link('prev', { before: startCursor })] : []),
  ];
  return { link: all.join(', ') };
}
