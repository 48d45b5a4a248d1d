import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { authenticate } from '../../src/auth/authenticate.ts';
import { fromPublicId, toPublicId } from '../../src/std/public-id.ts';
import { probeAgents } from '../../src/workers/probe-agents.ts';
import { registerWorker } from '../../src/workers/registry.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { type Answer, Api } from './api.ts';

let stack: TestStack;
let api: Api;

beforeAll(async () => {
  stack = await openTestStack();
  api = new Api(stack.orchestrator);
});
afterAll(() => stack[Symbol.asyncDispose]());

/** What a mutation answers, with the fields of its payload. */
async function send(name: string, payload: string, input: Record<string, unknown>): Promise<Answer['data']> {
  const type = `${name.charAt(0).toUpperCase()}${name.slice(1)}`;
  const inputType = name === 'createProject' ? 'ProjectInput' : `${type}Input`;
  const canBeInvalid = /^(create|update|rotate)/.test(name);
  const source = `mutation ($input: ${inputType}!) { ${name}(input: $input) { __typename
    ... on ${type}Payload { ${payload} } ... on UserError { code message }
    ${canBeInvalid ? '... on InvalidInputError { issues { path } }' : ''} } }`;
  return (await api.data(source, { variables: { input } }))[name];
}

const PROJECT = `project { id slug name status defaultBranch template repositoryUrl archivedAt lastActivityCursor
  settings { provider callbackUrl artifacts trustRepoConfig limits { wallSeconds maxTurns }
    workspace { image cpu memory storage } } }`;

describe('projects', () => {
  it('are made, changed member by member, and archived', async () => {
    const made = await send('createProject', `${PROJECT} callbackSecret`, {
      name: 'My Site',
      template: 'static-site',
      settings: {
        provider: 'scripted',
        limits: { wallSeconds: 60 },
        artifacts: ['dist/**'],
        workspace: { image: 'node:24', memory: '4Gi' },
      },
    });
    expect(made).toMatchObject({
      callbackSecret: expect.stringMatching(/^whsec_/),
      project: {
        slug: 'my-site',
        status: 'ACTIVE',
        defaultBranch: 'main',
        template: expect.stringMatching(/^static-site@/),
        settings: {
          provider: 'scripted',
          artifacts: ['dist/**'],
          limits: { wallSeconds: 60, maxTurns: null },
          workspace: { image: 'node:24', cpu: null, memory: '4Gi', storage: null },
        },
      },
    });
    const { id } = made.project;
    const changed = await send('updateProject', PROJECT, { id, name: 'Our Site', settings: { trustRepoConfig: true } });
    expect(changed.project).toMatchObject({
      name: 'Our Site',
      slug: 'my-site',
      settings: { provider: 'scripted', trustRepoConfig: true },
    });
    expect(await send('createProject', PROJECT, { name: 'My Site' })).toMatchObject({ code: 'CONFLICT' });
    const archived = await send('archiveProject', PROJECT, { id });
    expect(archived.project).toMatchObject({ status: 'ARCHIVED', archivedAt: expect.any(String) });
    expect(await send('archiveProject', PROJECT, { id })).toEqual(archived);
    expect(await send('updateProject', PROJECT, { id, name: 'x' })).toMatchObject({ code: 'NOT_FOUND' });
    expect(await api.data('{ project(slug: "my-site") { id } }')).toEqual({ project: null });
    const started = await api.data(
      `mutation { startBuild(input: { projectId: "${id}", spec: { prompt: "x", variables: [{ name: "title", value: "Ours" }] } }) { ... on UserError { code } } }`,
    );
    expect(started).toEqual({ startBuild: { code: 'PROJECT_NOT_READY' } });
  });

  it('name what is wrong with them', async () => {
    const answer = await send('createProject', PROJECT, {
      name: 'x',
      repositoryUrl: 'ext::sh -c id',
      defaultBranch: '..',
      template: 'nothing',
      settings: { provider: 'nobody', callbackUrl: 'ftp://example.com' },
    });
    expect(answer.issues.map((issue: { path: string[] }) => issue.path.join('.')).toSorted()).toEqual([
      'input.defaultBranch',
      'input.repositoryUrl',
      'input.settings.callbackUrl',
      'input.settings.provider',
      'input.template',
    ]);
  });

  it('hold no text that cannot be stored or used', async () => {
    const inputs: [Record<string, unknown>, string][] = [
      [{ name: 'a\u0000b' }, 'name'],
      [{ name: 'a\ud800' }, 'name'],
      [{ name: 'a', settings: { model: '\u0000' } }, 'settings.model'],
      [{ name: 'a', settings: { model: '\ud800' } }, 'settings.model'],
      [{ name: 'a', settings: { artifacts: ['dist', 'a\u0000'] } }, 'settings.artifacts.1'],
      [{ name: 'a', settings: { artifacts: ['../secret'] } }, 'settings.artifacts.0'],
      [
        {
          name: 'a',
          repositoryUrl: 'https://example.com/a.git',
          gitCredentials: { username: 'u', password: 'a long\npassword' },
        },
        'gitCredentials.password',
      ],
    ];
    for (const [input, path] of inputs) {
      expect(await send('createProject', PROJECT, input), path).toMatchObject({
        __typename: 'InvalidInputError',
        issues: [{ path: ['input', ...path.split('.')] }],
      });
    }
  });

  it('are listed, searched and paged', async () => {
    for (const name of ['Alpha Needle', 'Beta', 'Gamma needle']) await send('createProject', PROJECT, { name });
    const read = (args: string) =>
      api.data(`{ projects${args} { totalCount nodes { name } pageInfo { endCursor hasNextPage } } }`);
    const found = (await read('(filter: { search: "NEEDLE", archived: false })')).projects;
    expect(found).toMatchObject({ totalCount: 2, nodes: [{ name: 'Gamma needle' }, { name: 'Alpha Needle' }] });
    expect((await read('(filter: { archived: true })')).projects.nodes).toEqual([{ name: 'Our Site' }]);
    const names: string[] = [];
    let after = '';
    for (let pages = 0; pages < 10; pages += 1) {
      const { nodes, pageInfo } = (await read(`(first: 1${after})`)).projects;
      names.push(nodes[0].name);
      if (!pageInfo.hasNextPage) break;
      after = `, after: "${pageInfo.endCursor}"`;
    }
    expect(names).toEqual(['Gamma needle', 'Beta', 'Alpha Needle', 'Our Site']);
  });
});

describe('validateBuild', () => {
  const VALIDATE = `query ($projectId: ID!, $spec: BuildSpecInput!) { validateBuild(projectId: $projectId, spec: $spec) {
    ready resolvedPrompt spec { template branch variables { name value } } checks { name ok message } issues { path message } } }`;

  const validate = async (projectId: string, spec: Record<string, unknown>) =>
    (await api.data(VALIDATE, { variables: { projectId: toPublicId('project', projectId), spec } })).validateBuild;
  const check = (answer: Answer['data'], name: string) => answer.checks.find((c: { name: string }) => c.name === name);

  it('resolves the prompt and the spec, and tells what a build needs', async () => {
    const { id } = await stack.createProject();
    const spec = { prompt: 'Blue please', template: 'static-site', variables: [] };
    const before = await validate(id, { prompt: 'plain' });
    expect(before).toMatchObject({ ready: false, resolvedPrompt: 'plain', issues: [] });
    expect(check(before, 'worker').ok).toBe(false);
    const { place } = stack.orchestrator.runtime;
    const agents = (await probeAgents(stack.orchestrator.agents)).filter(({ name }) => name === 'scripted');
    const worker = { id: v7(), name: 'w', place, version: '0', capacity: 1, agents };
    await registerWorker(stack.orchestrator.db, worker);
    expect(await validate(id, { prompt: 'plain' })).toMatchObject({ ready: true });
    const templates = await api.data('{ templates { reference name variables { name required default } } }');
    const site = templates.templates.find((template: { name: string }) => template.name === 'static-site');
    const variables = site.variables
      .filter((variable: { required: boolean }) => variable.required)
      .map(({ name }: { name: string }) => ({ name, value: 'Value' }));
    const answer = await validate(id, { ...spec, variables });
    expect(answer).toMatchObject({ ready: true, issues: [], spec: { template: site.reference, branch: 'main' } });
    expect(answer.resolvedPrompt).toContain('Blue please');
    expect(answer.resolvedPrompt.length).toBeGreaterThan('Blue please'.length);
  });

  it('lists everything that startBuild would refuse', async () => {
    const { id } = await stack.createProject();
    const spec = { prompt: 'x', provider: 'nobody', template: 'nothing', callbackUrl: 'file:///etc/passwd' };
    const answer = await validate(id, spec);
    expect(answer).toMatchObject({ ready: false, resolvedPrompt: null, spec: null });
    expect(answer.issues.map((issue: { path: string[] }) => issue.path.join('.')).toSorted()).toEqual([
      'spec.callbackUrl',
      'spec.provider',
      'spec.template',
    ]);
    expect(check(answer, 'provider').message).toContain('nobody');
    await send('archiveProject', PROJECT, { id: toPublicId('project', id) });
    const archived = await validate(id, { prompt: 'x' });
    expect(archived).toMatchObject({ ready: false, issues: [{ path: ['projectId'] }] });
  });
});

describe('tokens', () => {
  it('are made, work, are listed, rotated, and stop working when revoked', async () => {
    const { db } = stack.orchestrator;
    const project = await stack.createProject();
    const input = { name: 'bot', scopes: ['builds:write'], projectIds: [toPublicId('project', project.id)] };
    const made = await send('createApiToken', 'id token', input);
    const viewer = await authenticate(db, `Bearer ${made.token}`);
    expect(viewer).toMatchObject({ actor: made.id, scopes: ['builds:write'], projectIds: [project.id] });
    const listed = await api.data('{ apiTokens(first: 1) { nodes { id name scopes projectIds revokedAt } } }');
    expect(listed.apiTokens.nodes).toEqual([{ id: made.id, ...input, revokedAt: null }]);
    const rotated = await send('rotateApiToken', 'token apiToken { id rotatedAt previousUntil }', { id: made.id });
    const { rotatedAt, previousUntil } = rotated.apiToken;
    expect(Date.parse(previousUntil) - Date.parse(rotatedAt)).toBe(3_600_000);
    expect(await authenticate(db, `Bearer ${made.token}`)).toEqual({ ...viewer, expiresAt: new Date(previousUntil) });
    expect(await authenticate(db, `Bearer ${rotated.token}`)).toEqual({ ...viewer, secretVersion: 2 });
    const revoked = await send('revokeApiToken', 'apiToken { id revokedAt }', { id: made.id });
    expect(revoked.apiToken).toEqual({ id: made.id, revokedAt: expect.any(String) });
    expect(await send('revokeApiToken', 'apiToken { id revokedAt }', { id: made.id })).toEqual(revoked);
    expect(await authenticate(db, `Bearer ${made.token}`)).toBeNull();
    expect(await authenticate(db, `Bearer ${rotated.token}`)).toBeNull();
    const ids = async (args: string) =>
      (await api.data(`{ apiTokens${args} { nodes { id } } }`)).apiTokens.nodes.map(({ id }: { id: string }) => id);
    expect([(await ids('')).includes(made.id), await ids('(first: 1, includeRevoked: true)')]).toEqual([
      false,
      [made.id],
    ]);
    const trail = await db
      .selectFrom('audit_log')
      .select('action')
      .where('subject_id', '=', fromPublicId('token', made.id) ?? '')
      .orderBy('id')
      .execute();
    expect(trail.map((entry) => entry.action)).toEqual(['createApiToken', 'rotateApiToken', 'revokeApiToken']);
  });

  it('name what is wrong with them', async () => {
    const past = '2020-01-01T00:00:00Z';
    const answer = await send('createApiToken', 'id', { name: ' ', scopes: ['everything'], expiresAt: past });
    expect(answer.issues.map((issue: { path: string[] }) => issue.path.slice(0, 2).join('.')).toSorted()).toEqual([
      'input.expiresAt',
      'input.name',
      'input.scopes',
    ]);
    expect(await send('createApiToken', 'id', { name: 'x', scopes: ['admin'], projectIds: ['x'] })).toMatchObject({
      code: 'NOT_FOUND',
    });
    const unknown = toPublicId('project', v7());
    expect(await send('createApiToken', 'id', { name: 'x', scopes: ['admin'], projectIds: [unknown] })).toMatchObject({
      code: 'NOT_FOUND',
    });
    expect(await send('revokeApiToken', 'apiToken { id }', { id: 'token_x' })).toMatchObject({ code: 'NOT_FOUND' });
    const { id } = await send('createApiToken', 'id', { name: 'x', scopes: ['admin'] });
    expect(await send('rotateApiToken', 'token', { id, graceSeconds: -1 })).toMatchObject({
      issues: [{ path: ['input', 'graceSeconds'] }],
    });
  });
});

describe('workers and the viewer', () => {
  it('are shown', async () => {
    const data = await api.data(`{ viewer { id name scopes projects { id } expiresAt }
      workers(filter: { statuses: [ONLINE] }) { nodes { id name status capacity running providers { provider } currentBuilds { totalCount } } } }`);
    expect(data).toMatchObject({
      viewer: {
        id: expect.stringMatching(/^token_/),
        name: 'test',
        scopes: ['admin'],
        projects: null,
        expiresAt: null,
      },
      workers: {
        nodes: [{ id: expect.stringMatching(/^worker_/), status: 'ONLINE', providers: [{ provider: 'scripted' }] }],
      },
    });
    const { id } = data.workers.nodes[0];
    expect(await api.data(`{ node(id: "${id}") { __typename id } }`)).toEqual({ node: { __typename: 'Worker', id } });
  });
});
