/** The whole schema, field by field: who is refused, who finds nothing, who gets what. A new field needs a case here. */
import fc from 'fast-check';
import { type GraphQLObjectType, getNamedType, isAbstractType, isInterfaceType, isObjectType } from 'graphql';
import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { schema } from '../../schema/index.ts';
import { SCOPES, type Scope } from '../../src/auth/scope.ts';
import type { Viewer } from '../../src/auth/viewer.ts';
import { openTestApi, type TestApi } from '../support/api.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { ACCESS_CASES, type AccessCase, NESTED_SCOPES } from './access-cases.ts';
import { PATHS } from './access-paths.ts';
import { createWorld, OURS, type World } from './access-world.ts';
import { type Answer, Api, viewer } from './api.ts';

let stack: TestStack;
let api: Api;
let world: World;

beforeAll(async () => {
  // A walk is many requests, and the refused ones are what it is about.
  stack = await openTestStack({ SLIPWAY_REFUSED_PER_MINUTE: '0' });
  api = new Api(stack.orchestrator);
  world = await createWorld(stack);
});
afterAll(() => stack[Symbol.asyncDispose]());

const ROOTS = {
  query: schema.getQueryType(),
  mutation: schema.getMutationType(),
  subscription: schema.getSubscriptionType(),
};
const rootFields = Object.entries(ROOTS).flatMap(([kind, root]) =>
  Object.keys(root?.getFields() ?? {}).map((name) => `${kind} ${name}`),
);
const cases = ACCESS_CASES.map((access): [string, AccessCase] => [access.field, access]);

type Outcome = 'FORBIDDEN' | 'NOTHING' | 'SOMETHING';

/** What the answer comes to. An error that is neither a refusal nor "not there" is a fault of the case. */
function outcomeOf({ data, errors }: Answer): Outcome {
  const codes = errors.map(({ extensions }) => extensions?.code as string);
  if (codes.includes('FORBIDDEN')) return 'FORBIDDEN';
  if (codes.some((code) => code !== 'NOT_FOUND')) throw new Error(JSON.stringify(errors));
  return isNothing(data) ? 'NOTHING' : 'SOMETHING';
}

/** Null, 0, nothing in it, or a mutation's NOT_FOUND: what somebody gets who asks for what is not there. */
function isNothing(value: unknown): boolean {
  if (Array.isArray(value)) return value.every(isNothing);
  if (typeof value !== 'object' || value === null) return value === null || value === undefined || value === 0;
  // That there is no such credential or type is told to those who may know it.
  if ('code' in value && value.code === 'NOT_FOUND')
    return !/no (credential|task type)/.test(String(Object(value).message));
  return Object.values(value).every(isNothing);
}

async function ask(source: string, having: Partial<Viewer>): Promise<Answer> {
  const options = { viewer: viewer(having) };
  if (!source.startsWith('subscription')) return api.run(source, options);
  const events = await api.subscribe(source, options);
  if (!(Symbol.asyncIterator in events)) return events;
  const { value } = await events.next();
  await events.return(undefined);
  return value as Answer;
}

/** The scopes that give a scope; the table of README.md. */
const GIVEN_BY: Readonly<Record<Scope, readonly Scope[]>> = {
  'builds:read': ['builds:read', 'builds:write', 'admin'],
  'builds:write': ['builds:write', 'admin'],
  'projects:write': ['projects:write', 'admin'],
  'tasks:read': ['tasks:read', 'tasks:write', 'admin'],
  'tasks:write': ['tasks:write', 'admin'],
  work: ['work', 'admin'],
  workers: ['workers', 'admin'],
  'stats:read': ['stats:read', 'admin'],
  admin: ['admin'],
};

/** All that the walk expects, in six lines. */
function expected({ needs, reach }: AccessCase, token: Pick<Viewer, 'scopes' | 'projectIds'>): Outcome {
  const has = (scope: Scope) => GIVEN_BY[scope].some((giver) => token.scopes.includes(giver));
  if (!needs.every(has)) return 'FORBIDDEN';
  if (token.projectIds === null || reach === 'everyone') return 'SOMETHING';
  if (reach === 'unlimited') return 'FORBIDDEN';
  const seen = token.projectIds;
  return world.ours.projectUuids.every((id) => seen.includes(id)) ? 'SOMETHING' : 'NOTHING';
}

describe('every root field', () => {
  it('has a case', () => {
    expect([...new Set(cases.map(([field]) => field))].toSorted()).toEqual(rootFields.toSorted());
  });

  it.each(cases)('%s is refused without each of its scopes, and needs no other', async (_field, access) => {
    const source = access.source(world);
    for (const missing of access.needs) {
      const scopes = SCOPES.filter((scope) => !GIVEN_BY[missing].includes(scope));
      const { errors } = await ask(source, { scopes });
      expect(errors[0]?.extensions).toMatchObject({ code: 'FORBIDDEN', requiredScope: missing });
    }
    expect(outcomeOf(await ask(source, { scopes: access.needs }))).toBe('SOMETHING');
    expect(outcomeOf(await ask(source, { scopes: ['admin'] }))).toBe('SOMETHING');
  });

  it.each(cases)('%s tells a token of another project nothing', async (_field, access) => {
    const source = access.source(world);
    const scopes = access.needs;
    const unknown = { scopes, projectIds: [v7()] };
    expect(outcomeOf(await ask(source, unknown))).toBe(expected(access, unknown));
    const foreign = await ask(source, { scopes, projectIds: world.theirs.projectUuids });
    const told = JSON.stringify(foreign.data ?? null);
    expect(told).not.toContain(OURS);
    // What was asked for is in the refusal.
    for (const id of Object.values(world.ours).flat()) if (!source.includes(id)) expect(told).not.toContain(id);
    if (access.reach === 'unlimited') {
      expect(foreign.errors[0]?.extensions).toMatchObject({ code: 'FORBIDDEN', requiredScope: 'all projects' });
    } else {
      expect(outcomeOf(await ask(source, { scopes, projectIds: world.ours.projectUuids }))).toBe('SOMETHING');
    }
  });

  it('answers any token as the table says', async () => {
    const { ours, theirs } = world;
    const token = fc.record({
      scopes: fc.subarray([...SCOPES]),
      projectIds: fc.constantFrom(null, [], ours.projectUuids, [v7()], [...theirs.projectUuids, ...ours.projectUuids]),
    });
    const seen: Record<Outcome, number> = { FORBIDDEN: 0, NOTHING: 0, SOMETHING: 0 };
    await fc.assert(
      fc.asyncProperty(token, fc.constantFrom(...ACCESS_CASES), async (having, access) => {
        const outcome = outcomeOf(await ask(access.source(world), having));
        seen[outcome] += 1;
        expect(`${access.field}: ${outcome}`).toBe(`${access.field}: ${expected(access, having)}`);
      }),
      { numRuns: 400 },
    );
    console.log('random tokens:', seen);
  });
});

describe('nobody without a token', () => {
  let server: TestApi;
  beforeAll(async () => {
    server = await openTestApi(stack);
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it.each(cases)('gets %s', async (field, access) => {
    const accept = field.startsWith('subscription') ? 'text/event-stream' : 'application/json';
    const answer = await fetch(server.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept },
      body: JSON.stringify({ query: access.source(world) }),
    });
    const text = await answer.text();
    expect(text).toContain('"code":"UNAUTHENTICATED"');
    expect(text).not.toContain('"data":{');
    if (accept === 'application/json') expect(answer.status).toBe(401);
  });
});

const outputTypes = Object.values(schema.getTypeMap()).filter(
  (type) => (isObjectType(type) || isInterfaceType(type)) && !type.name.startsWith('__'),
) as GraphQLObjectType[];
const isRoot = (type: GraphQLObjectType) => Object.values(ROOTS).some((root) => root === type);

describe('every node type', () => {
  const node = schema.getType('Node');
  const nodeTypes = isAbstractType(node) ? schema.getPossibleTypes(node).map(({ name }) => name) : [];

  it('is found by its id by who may see it, and by nobody else', async () => {
    const { ours, worker } = world;
    const ids: Record<string, { id: string; reach: AccessCase['reach'] }> = {
      Artifact: { id: ours.artifact, reach: 'project' },
      Build: { id: ours.waiting, reach: 'project' },
      BuildMessage: { id: ours.message, reach: 'project' },
      BuildQuestion: { id: ours.question, reach: 'project' },
      CallbackDelivery: { id: ours.delivery, reach: 'project' },
      Project: { id: ours.project, reach: 'project' },
      Schedule: { id: ours.schedule, reach: 'project' },
      Task: { id: ours.task, reach: 'project' },
      Worker: { id: worker, reach: 'everyone' },
    };
    expect(Object.keys(ids)).toEqual(nodeTypes.toSorted());
    for (const [type, { id, reach }] of Object.entries(ids)) {
      const field = 'query node';
      const access: AccessCase = { field, needs: ['builds:read'], reach, source: () => '' };
      // A task takes both: node and task.
      for (const scopes of [
        ['builds:read', 'tasks:read'],
        ['projects:write', 'stats:read', 'workers'],
      ] as const) {
        for (const projectIds of [null, ours.projectUuids, world.theirs.projectUuids]) {
          for (const source of [`{ node(id: "${id}") { __typename id } }`, `{ nodes(ids: ["${id}"]) { id } }`]) {
            const outcome = outcomeOf(await ask(source, { scopes, projectIds }));
            expect(`${type} ${outcome}`).toBe(`${type} ${expected(access, { scopes, projectIds })}`);
          }
        }
      }
    }
  });

  /** The node types that a field leads to, through the edges of a connection. */
  function leadsTo(type: GraphQLObjectType, fieldName: string): string | null {
    const target = getNamedType(type.getFields()[fieldName]?.type);
    if (!target) return null;
    if (isObjectType(target) && target.name.endsWith('Connection')) return leadsTo(target, 'nodes');
    return nodeTypes.includes(target.name) || target.name === 'Node' ? target.name : null;
  }

  const edges = outputTypes
    // What a payload holds is what the mutation was allowed to do; events are what their interface is.
    .filter((type) => !isRoot(type) && !/(Payload|Connection|Edge)$/.test(type.name))
    .filter((type) => isInterfaceType(type) || !type.getInterfaces().some(({ name }) => name === 'BuildEvent'))
    .flatMap((type) =>
      Object.keys(type.getFields())
        .filter((name) => leadsTo(type, name))
        .map((name) => `${type.name}.${name}`),
    );

  it('is reached by no path that has no case', () => {
    expect(edges.toSorted()).toEqual(Object.keys(PATHS).toSorted());
  });

  const crossings = Object.entries(PATHS).filter(([, path]) => path !== 'same project');
  it.each(crossings)('is not reached by another project through %s', async (_edge, path) => {
    const source = path === 'same project' ? '' : path(world);
    const ids = [world.ours.finished, world.ours.running, world.ours.project];
    const all = JSON.stringify(await ask(source, { projectIds: world.ours.projectUuids }));
    expect(ids.some((id) => all.includes(id))).toBe(true);
    const foreign = JSON.stringify((await ask(source, { projectIds: world.theirs.projectUuids })).data);
    for (const id of ids) expect(foreign).not.toContain(id);
  });
});

describe('scopes below the roots', () => {
  it('are all known', () => {
    const guarded = outputTypes
      .filter((type) => !isRoot(type))
      .flatMap((type) =>
        Object.values(type.getFields())
          .filter(({ extensions }) => (extensions.pothosOptions as { authScopes?: unknown } | undefined)?.authScopes)
          .map(({ name }) => `${type.name}.${name}`),
      );
    expect(guarded.toSorted()).toEqual(Object.keys(NESTED_SCOPES).toSorted());
  });

  const projects = '{ viewer { projects { id } } }';
  const SOURCES: Record<string, (world: World) => string> = {
    'Project.builds': ({ ours }) => `mutation { archiveProject(input: { id: "${ours.archived}" }) {
      ... on ArchiveProjectPayload { project { builds { totalCount nodes { id } } } } } }`,
    'Project.callbackSecret': ({ ours }) => `{ project(id: "${ours.project}") { callbackSecret } }`,
    'Project.spentToday': ({ ours }) => `mutation { archiveProject(input: { id: "${ours.archived}" }) {
      ... on ArchiveProjectPayload { project { spentToday { tokens } } } } }`,
    'Project.schedules': ({ ours }) => `mutation { archiveProject(input: { id: "${ours.archived}" }) {
      ... on ArchiveProjectPayload { project { schedules { nodes { id } } } } } }`,
    'Project.credentials': ({ ours }) => `{ project(id: "${ours.project}") { credentials { name } } }`,
    'ProjectQueueFigures.project': () => '{ queueStats { byProject(first: 100) { project { id } } } }',
    'Viewer.projects': () => projects,
    'Credential.project': ({
      ours,
    }) => `mutation { deleteCredential(input: { projectId: "${ours.project}", name: "OURS" }) {
      ... on DeleteCredentialPayload { credential { project { id } } } } }`,
  };

  it.each(Object.entries(NESTED_SCOPES))('%s needs %s', async (field, scope) => {
    const source = SOURCES[field]?.(world) ?? '';
    const scopes = SCOPES.filter((other) => !GIVEN_BY[scope].includes(other));
    const { errors } = await ask(source, { scopes, projectIds: world.ours.projectUuids });
    expect(errors).toMatchObject([{ extensions: { code: 'FORBIDDEN', requiredScope: scope } }]);
  });
});
