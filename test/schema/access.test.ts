/** Tokens that are limited to projects, told as stories; every-field-access.test.ts walks over the whole schema. */
import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { insertArtifacts } from '../../src/artifacts/artifact.ts';
import type { Viewer } from '../../src/auth/viewer.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import type { Project } from '../../src/projects/project.ts';
import { toPublicId } from '../../src/std/public-id.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { Api, viewer } from './api.ts';
import { finish } from './finish.ts';

let stack: TestStack;
let api: Api;

beforeAll(async () => {
  stack = await openTestStack();
  api = new Api(stack.orchestrator);
});
afterAll(() => stack[Symbol.asyncDispose]());

describe('a token', () => {
  it('reads callback secrets only with projects:write', async () => {
    const { slug } = await stack.createProject();
    const source = `{ project(slug: "${slug}") { slug callbackSecret } }`;
    const { data, errors } = await api.run(source, { viewer: viewer({ scopes: ['builds:read'] }) });
    expect(data).toEqual({ project: { slug, callbackSecret: null } });
    expect(errors[0]?.extensions).toMatchObject({ code: 'FORBIDDEN', requiredScope: 'projects:write' });
  });

  it('of builds:write also reads builds', async () => {
    const { errors } = await api.run('{ builds { nodes { id } } }', { viewer: viewer({ scopes: ['builds:write'] }) });
    expect(errors).toEqual([]);
  });
});

describe('a token that is limited to a project', () => {
  let ours: Project;
  let theirs: Project;
  let ourBuild: string;
  let theirBuild: string;
  let theirArtifact: string;
  let limited: Viewer;

  beforeAll(async () => {
    ours = await stack.createProject({ slug: 'ours' });
    theirs = await stack.createProject({ slug: 'theirs' });
    limited = viewer({ projectIds: [ours.id] });
    const start = async (project: Project) => {
      const spec = { prompt: 'work', callbackUrl: 'http://127.0.0.1:9/' };
      const { build } = await startBuild(stack.orchestrator, { projectId: project.id, spec }, 'test');
      await finish(stack.orchestrator, build.id);
      return build.id;
    };
    ourBuild = await start(ours);
    theirBuild = await start(theirs);
    theirArtifact = v7();
    const file = {
      id: theirArtifact,
      buildId: theirBuild,
      name: 'a',
      contentType: 'text/plain',
      sizeBytes: 1,
      sha256: '',
    };
    await stack.orchestrator.db.transaction().execute((trx) => insertArtifacts(trx, [file]));
  });

  it('sees nothing else in any list, count or statistic', async () => {
    const data = await api.data(
      `query ($theirs: ID!) {
        builds { totalCount nodes { id } }
        others: builds(filter: { projectId: $theirs }) { totalCount nodes { id } }
        projects { totalCount nodes { slug } }
        buildStats { total series(bucket: WEEK) { total } }
        otherStats: buildStats(filter: { projectId: $theirs }) { total }
        queueStats { waiting throughputPerMinute byProject { projectId } byProvider { running } }
        viewer { projects { slug } }
      }`,
      { viewer: limited, variables: { theirs: toPublicId('project', theirs.id) } },
    );
    expect(data).toEqual({
      builds: { totalCount: 1, nodes: [{ id: toPublicId('build', ourBuild) }] },
      others: { totalCount: 0, nodes: [] },
      projects: { totalCount: 1, nodes: [{ slug: 'ours' }] },
      buildStats: { total: 1, series: [{ total: 1 }] },
      otherStats: { total: 0 },
      queueStats: {
        waiting: 0,
        throughputPerMinute: 0.1,
        byProject: [{ projectId: toPublicId('project', ours.id) }],
        byProvider: [{ running: 0 }],
      },
      viewer: { projects: [{ slug: 'ours' }] },
    });
  });

  it('finds nothing else by id, slug or key', async () => {
    const { orchestrator } = stack;
    const delivery = await orchestrator.db
      .selectFrom('deliveries')
      .select('id')
      .where('build_id', '=', theirBuild)
      .executeTakeFirstOrThrow();
    const ids = [
      toPublicId('build', theirBuild),
      toPublicId('project', theirs.id),
      toPublicId('artifact', theirArtifact),
      toPublicId('delivery', delivery.id),
    ];
    const source = `query ($ids: [ID!]!, $build: ID!, $project: ID!) {
      nodes(ids: $ids) { id }
      node(id: $build) { id }
      build(id: $build) { id }
      project(id: $project) { id }
      bySlug: project(slug: "theirs") { id }
      buildByIdempotencyKey(projectId: $project, key: "x") { id }
    }`;
    const variables = { ids, build: ids[0], project: ids[1] };
    expect(await api.data(source, { viewer: limited, variables })).toEqual({
      nodes: [null, null, null, null],
      node: null,
      build: null,
      project: null,
      bySlug: null,
      buildByIdempotencyKey: null,
    });
    const everything = await api.data(source, { variables });
    expect(everything.nodes).toEqual(ids.map((id) => ({ id })));
  });

  it('changes and follows nothing else', async () => {
    const build = toPublicId('build', theirBuild);
    const project = toPublicId('project', theirs.id);
    const mutations = [
      `startBuild(input: { projectId: "${project}", spec: { prompt: "x" } })`,
      `cancelBuild(input: { id: "${build}" })`,
      `retryBuild(input: { id: "${build}" })`,
      `sendBuildMessage(input: { buildId: "${build}", text: "x" })`,
      `redeliverCallback(input: { buildId: "${build}" })`,
      `updateProject(input: { id: "${project}", name: "x" })`,
      `archiveProject(input: { id: "${project}" })`,
    ];
    for (const mutation of mutations) {
      const data = await api.data(`mutation { result: ${mutation} { ... on UserError { code } } }`, {
        viewer: limited,
      });
      expect(data, mutation).toEqual({ result: { code: 'NOT_FOUND' } });
    }
    const subscriptions = [
      `buildProgress(buildId: "${build}") { cursor }`,
      `buildLog(buildId: "${build}") { cursor }`,
      `projectActivity(projectId: "${project}") { cursor }`,
      `queueActivity(projectId: "${project}") { waiting }`,
    ];
    for (const subscription of subscriptions) {
      const answer = await api.subscribe(`subscription { ${subscription} }`, { viewer: limited });
      expect(answer, subscription).toMatchObject({ errors: [{ extensions: { code: 'NOT_FOUND' } }] });
    }
    const validation = await api.run(`{ validateBuild(projectId: "${project}", spec: { prompt: "x" }) { ready } }`, {
      viewer: limited,
    });
    expect(validation.errors[0]?.extensions).toMatchObject({ code: 'NOT_FOUND', resource: 'project' });
  });

  it('makes no projects and no tokens', async () => {
    const mutations = [
      'createProject(input: { name: "x" })',
      'createAndBuild(input: { project: { name: "x" }, spec: { prompt: "x" } })',
      'createApiToken(input: { name: "x", scopes: ["admin"] })',
    ];
    for (const mutation of mutations) {
      const { errors } = await api.run(`mutation { ${mutation} { __typename } }`, { viewer: limited });
      expect(errors[0]?.extensions, mutation).toMatchObject({ code: 'FORBIDDEN', requiredScope: 'all projects' });
      expect(errors[0]?.message).toBe('This needs a token that is not limited to projects.');
    }
  });
});
