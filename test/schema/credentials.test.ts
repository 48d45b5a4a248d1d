import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { GraphQLObjectType } from 'graphql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { schema } from '../../schema/index.ts';
import { setCredential } from '../../src/credentials/set-credential.ts';
import type { Project } from '../../src/projects/project.ts';
import { toPublicId } from '../../src/std/public-id.ts';
import { dumpDatabase, spellings } from '../e2e/find-secrets.ts';
import { openTestApi, type TestApi } from '../support/api.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { Api, viewer } from './api.ts';

const EVERYTHING = `id name kind target baseUrl maxRunning previousUntil keyId createdAt updatedAt lastUsedAt project { id credentials { name } }`;
const PLANTED = 'planted-0123456789-value';

let stack: TestStack;
let api: Api;
let server: TestApi;
let project: Project;
let projectId: string;

beforeAll(async () => {
  stack = await openTestStack();
  api = new Api(stack.orchestrator);
  server = await openTestApi(stack);
  project = await stack.createProject();
  projectId = toPublicId('project', project.id);
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await stack[Symbol.asyncDispose]();
});

const SET = `mutation ($input: SetCredentialInput!) {
  setCredential(input: $input) {
    __typename
    ... on SetCredentialPayload { credential { ${EVERYTHING} } }
    ... on UserError { code message } ... on InvalidInputError { issues { path message } }
  }
}`;
const DELETE = `mutation ($input: DeleteCredentialInput!) {
  deleteCredential(input: $input) { __typename ... on DeleteCredentialPayload { credential { name } } ... on UserError { code } }
}`;

async function set(input: object, as = viewer()) {
  return (await api.run(SET, { variables: { input }, viewer: as })).data?.setCredential;
}

const KINDS = {
  git: { url: 'https://git.example/x.git', username: 'bot', password: PLANTED },
  modelApiKey: { variable: 'ANTHROPIC_API_KEY', key: PLANTED, baseUrl: 'https://gateway.example' },
  callbackSigning: { secret: `whsec_${Buffer.from(`${PLANTED}${PLANTED}`).toString('base64')}` },
  registry: { url: 'https://npm.example', token: PLANTED },
  deploy: { environment: 'production', variables: [{ name: 'DEPLOY_KEY', value: PLANTED }] },
};

describe('credentials', () => {
  it('have no field that gives a value', () => {
    const type = schema.getType('Credential');
    const fields = Object.keys((type as GraphQLObjectType).getFields()).toSorted();
    expect(fields).toEqual([
      'baseUrl',
      'createdAt',
      'id',
      'keyId',
      'kind',
      'lastUsedAt',
      'maxRunning',
      'name',
      'previousUntil',
      'project',
      'target',
      'updatedAt',
    ]);
    const secretive = Object.values(schema.getTypeMap())
      .filter((named) => named instanceof GraphQLObjectType && !named.name.startsWith('__'))
      .flatMap((named) =>
        Object.keys((named as GraphQLObjectType).getFields()).map((field) => `${named.name}.${field}`),
      )
      .filter((field) => /\.(\w*(password|secret|sealed|value)|key)$/i.test(field))
      .filter((field) => !/^(Label|BuildVariable|Variable|TemplateVariable)\w*\./.test(field));
    expect(secretive.toSorted()).toEqual([
      'CreateAndBuildPayload.callbackSecret',
      'CreateProjectPayload.callbackSecret',
      'Project.callbackSecret',
    ]);
  });

  it('are opened by no code of the API', () => {
    for (const folder of ['schema', 'src/server']) {
      for (const file of readdirSync(folder).filter((name) => name.endsWith('.ts'))) {
        const text = readFileSync(join(folder, file), 'utf8');
        expect(text, file).not.toMatch(
          /from '.*credentials\/(seal|read-credentials|signing-secrets|rotate-master-key)\.ts'/,
        );
      }
    }
  });

  it('are set, listed and deleted, and no answer, row or error holds what was planted', async () => {
    const answers: unknown[] = [];
    for (const [kind, given] of Object.entries(KINDS)) {
      const answer = await set({ projectId, name: `of-${kind}`, [kind]: given });
      expect(answer).toMatchObject({ __typename: 'SetCredentialPayload', credential: { project: { id: projectId } } });
      answers.push(answer, await set({ name: `all-${kind}`, [kind]: given }));
    }
    const listed = await api.data(
      `{ credentials { ${EVERYTHING} } project(id: "${projectId}") { callbackSecret credentials { ${EVERYTHING} } } }`,
    );
    expect(listed.credentials).toHaveLength(5);
    expect(listed.project).toMatchObject({
      callbackSecret: null,
      credentials: [
        { name: 'of-callbackSigning', kind: 'CALLBACK_SIGNING', target: null, previousUntil: expect.any(String) },
        { name: 'of-deploy', kind: 'DEPLOY', target: 'production', previousUntil: null },
        { name: 'of-git', kind: 'GIT', target: 'https://git.example', previousUntil: null },
        { name: 'of-modelApiKey', kind: 'MODEL_API_KEY', baseUrl: 'https://gateway.example' },
        { name: 'of-registry', kind: 'REGISTRY', target: 'https://npm.example/', lastUsedAt: null },
      ],
    });
    answers.push(listed, await api.data('{ auditLog { nodes { action detail } } }'));
    answers.push((await api.run(DELETE, { variables: { input: { projectId, name: 'of-git' } } })).data);
    expect(answers.at(-1)).toMatchObject({ deleteCredential: { credential: { name: 'of-git' } } });
    const again = await api.data(DELETE, { variables: { input: { projectId, name: 'of-git' } } });
    expect(again).toEqual({ deleteCredential: { __typename: 'NotFoundError', code: 'NOT_FOUND' } });
    const told = [JSON.stringify(answers), await dumpDatabase(stack.databaseUrl)].join('\n');
    for (const spelled of [PLANTED, `${PLANTED}${PLANTED}`].flatMap(spellings))
      expect(told.includes(spelled)).toBe(false);
    for (const kind of Object.keys(KINDS)) await api.run(DELETE, { variables: { input: { name: `all-${kind}` } } });
  });

  it.each([
    ['a value of the wrong type', { projectId: 7, git: { ...KINDS.git, extra: PLANTED } }],
    ['a list', { name: 'x', git: [PLANTED] }],
    [
      'an object in place of the secret',
      { name: 'x', registry: { url: 'https://npm.example', token: { x: PLANTED } } },
    ],
    ['two kinds', { name: 'x', git: KINDS.git, registry: KINDS.registry }],
    ['a bad name', { name: PLANTED.repeat(4), registry: KINDS.registry }],
  ])('what is refused is not repeated: %s', async (_what, input) => {
    const response = await fetch(server.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${server.token}` },
      body: JSON.stringify({ query: SET, variables: { input } }),
    });
    const answer = await response.text();
    expect(answer).toMatch(/BAD_USER_INPUT|INVALID_INPUT|BAD_REQUEST/);
    expect(answer).not.toContain(PLANTED);
  });

  it('of a project need its scope and sight of it; those of all need everything', async () => {
    const input = { projectId, name: 'mine', registry: { url: 'https://other.example', token: PLANTED } };
    const writer = viewer({ scopes: ['projects:write'], projectIds: [project.id] });
    const stranger = viewer({ scopes: ['projects:write'], projectIds: [(await stack.createProject()).id] });
    expect(await set(input, writer)).toMatchObject({ __typename: 'SetCredentialPayload' });
    expect(await set(input, stranger)).toMatchObject({ code: 'NOT_FOUND' });
    for (const refused of [writer, viewer({ scopes: ['admin'], projectIds: [project.id] })]) {
      const { errors } = await api.run(SET, { variables: { input: { ...input, projectId: null } }, viewer: refused });
      expect(errors[0]?.extensions).toMatchObject({ code: 'FORBIDDEN' });
      expect((await api.run('{ credentials { name } }', { viewer: refused })).errors[0]?.extensions.code).toBe(
        'FORBIDDEN',
      );
    }
    const source = `{ project(id: "${projectId}") { slug credentials { name } } }`;
    const reader = await api.run(source, { viewer: viewer({ scopes: ['builds:read'] }) });
    expect(reader.data).toMatchObject({ project: { slug: expect.any(String), credentials: null } });
    expect(reader.errors[0]?.extensions).toMatchObject({ code: 'FORBIDDEN', requiredScope: 'projects:write' });
  });

  it('that sign for all are said to: a new project has no secret to show', async () => {
    const { orchestrator } = stack;
    const secret = `whsec_${randomBytes(32).toString('base64')}`;
    const input = { projectId: null, name: 'signing', callbackSigning: { secret } };
    await orchestrator.db.transaction().execute((trx) => setCredential(trx, orchestrator, { input, actor: 'test' }));
    const made = await api.data(
      'mutation { createProject(input: { name: "Signed" }) { ... on CreateProjectPayload { callbackSecret } } }',
    );
    expect(made).toEqual({ createProject: { callbackSecret: null } });
    await api.run(DELETE, { variables: { input: { name: 'signing' } } });
  });
});
