/** startBuild(resumeFrom): what a build takes over from an earlier one, and what is refused. */
import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fromPublicId, toPublicId } from '../../src/std/public-id.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { Api, type Operation, viewer } from './api.ts';
import { FAILED, finish } from './finish.ts';

let stack: TestStack;
let api: Api;
let projectId: string;

beforeAll(async () => {
  stack = await openTestStack();
  api = new Api(stack.orchestrator);
  projectId = await addProject();
});
afterAll(() => stack[Symbol.asyncDispose]());

const START = /* GraphQL */ `
  mutation ($input: StartBuildInput!) {
    startBuild(input: $input) {
      ... on StartBuildPayload {
        deduplicated
        build { id source retryOf { id } spec {
          prompt provider model branch template variables { name value } limits { wallSeconds } resumeSessionOf
        } }
      }
      ... on UserError { code message }
      ... on InvalidInputError { issues { path message } }
      ... on IdempotencyConflictError { existing { id } }
    }
  }
`;

async function addProject(): Promise<string> {
  return toPublicId('project', (await stack.createProject()).id);
}

async function start(input: Record<string, unknown>, operation: Operation = {}) {
  return (await api.data(START, { ...operation, variables: { input: { projectId, ...input } } })).startBuild;
}

/** A build that has ended well and has a session. */
async function ended(spec: Record<string, unknown> = {}): Promise<string> {
  const { build } = await start({ spec: { prompt: 'first', provider: 'claude-code', ...spec } });
  await finish(stack.orchestrator, fromPublicId('build', build.id) ?? '');
  return build.id;
}

const spec = { prompt: 'second' };

it('goes on with agent, model, branch, template and variables of the earlier build, and nothing else of it', async () => {
  const template = 'typescript-library';
  const variables = [{ name: 'package_name', value: 'ours' }];
  const resumeFrom = await ended({ model: 'big', branch: 'work', template, variables, limits: { wallSeconds: 77 } });
  const { build: earlier } = await api.data(
    'query ($id: ID!) { build(id: $id) { spec { template variables { name value } } } }',
    { variables: { id: resumeFrom } },
  );
  const { build } = await start({ spec, resumeFrom });
  expect(build).toMatchObject({
    source: 'API',
    retryOf: null,
    spec: {
      ...{ prompt: 'second', provider: 'claude-code', model: 'big', branch: 'work' },
      ...earlier.spec,
      limits: { wallSeconds: 3600 },
      resumeSessionOf: resumeFrom,
    },
  });
  expect(earlier.spec.template).toMatch(/^typescript-library@/);
  const other = { ...spec, model: 'small', template: 'static-site', variables: [{ name: 'title', value: 'x' }] };
  const changed = await start({ spec: other, resumeFrom });
  expect(changed.build.spec).toMatchObject({ model: 'small', template: expect.stringMatching(/^static-site@/) });
});

it('is written once per idempotency key, which names the earlier build, too', async () => {
  const resumeFrom = await ended();
  const input = { spec, resumeFrom, idempotencyKey: 'follow-up' };
  const first = await start(input);
  expect(first.deduplicated).toBe(false);
  expect(await start(input)).toMatchObject({ deduplicated: true, build: { id: first.build.id } });
  const conflict = { code: 'IDEMPOTENCY_CONFLICT', existing: { id: first.build.id } };
  expect(await start({ ...input, resumeFrom: await ended() })).toMatchObject(conflict);
  expect(await start({ spec, idempotencyKey: 'follow-up' })).toMatchObject(conflict);
});

describe('is refused', () => {
  it('for an agent that cannot go on, for another agent, and for another branch', async () => {
    const scripted = await start({ spec, resumeFrom: await ended({ provider: 'scripted' }) });
    expect(scripted).toMatchObject({
      code: 'CANNOT_RESUME',
      issues: [{ path: ['input', 'resumeFrom'], message: expect.stringContaining('scripted cannot go on') }],
    });
    const other = { ...spec, provider: 'scripted', branch: 'other' };
    const answer = await start({ spec: other, resumeFrom: await ended() });
    expect(answer.code).toBe('CANNOT_RESUME');
    expect(answer.issues.map(({ path }: { path: string[] }) => path.join('.'))).toEqual([
      'input.spec.provider',
      'input.spec.branch',
    ]);
  });

  it('while the earlier build is not finished, and when it has no session', async () => {
    const { build } = await start({ spec: { prompt: 'first', provider: 'claude-code' } });
    const waiting = await start({ spec, resumeFrom: build.id });
    expect(waiting).toMatchObject({ code: 'BUILD_STATE', message: expect.stringContaining('still PENDING') });
    await finish(stack.orchestrator, fromPublicId('build', build.id) ?? '', FAILED);
    const without = await start({ spec, resumeFrom: build.id });
    expect(without).toMatchObject({ code: 'BUILD_STATE', message: expect.stringContaining('no session') });
  });

  it('for a build of another project, and says no more of one that may not be seen than of one that is not', async () => {
    const resumeFrom = await ended();
    const other = await addProject();
    expect(await start({ projectId: other, spec, resumeFrom })).toMatchObject({
      code: 'INVALID_INPUT',
      issues: [{ path: ['input', 'resumeFrom'], message: 'It is a build of another project.' }],
    });
    const limited = viewer({ projectIds: [fromPublicId('project', other) ?? ''] });
    for (const id of [resumeFrom, toPublicId('build', v7()), 'build_x']) {
      expect(await start({ projectId: other, spec, resumeFrom: id }, { viewer: limited })).toEqual({
        code: 'NOT_FOUND',
        message: `There is no build ${id}.`,
      });
    }
  });
});

describe('validateBuild', () => {
  const VALIDATE = /* GraphQL */ `
    query ($projectId: ID!, $spec: BuildSpecInput!, $resumeFrom: ID) {
      validateBuild(projectId: $projectId, spec: $spec, resumeFrom: $resumeFrom) {
        spec { prompt provider branch resumeSessionOf }
        issues { path message }
      }
    }
  `;
  const ask = (resumeFrom: string, more: Record<string, unknown> = {}, operation: Operation = {}) =>
    api.run(VALIDATE, { ...operation, variables: { projectId, spec, resumeFrom, ...more } });
  const validate = async (...asked: Parameters<typeof ask>) => (await ask(...asked)).data.validateBuild;

  it('shows the spec with what it takes over from the earlier build', async () => {
    const resumeFrom = await ended({ branch: 'work' });
    expect(await validate(resumeFrom)).toEqual({
      spec: { prompt: 'second', provider: 'claude-code', branch: 'work', resumeSessionOf: resumeFrom },
      issues: [],
    });
  });

  it('lists what startBuild would refuse, by its own arguments', async () => {
    const resumeFrom = await ended();
    const other = { ...spec, provider: 'scripted', branch: 'other' };
    const pathsOf = ({ issues }: { issues: { path: string[] }[] }) => issues.map(({ path }) => path.join('.'));
    expect(pathsOf(await validate(resumeFrom, { spec: other }))).toEqual(['spec.provider', 'spec.branch']);
    expect(pathsOf(await validate(await ended({ provider: 'scripted' })))).toEqual(['resumeFrom']);
    expect(pathsOf(await validate(resumeFrom, { projectId: await addProject() }))).toEqual(['resumeFrom']);
    const { build } = await start({ spec: { prompt: 'first', provider: 'claude-code' } });
    expect((await validate(build.id)).issues).toEqual([
      { path: ['resumeFrom'], message: expect.stringContaining('still PENDING') },
    ]);
  });

  it('says no more of a build that may not be seen than of one that is not', async () => {
    const resumeFrom = await ended();
    const other = await addProject();
    const limited = viewer({ projectIds: [fromPublicId('project', other) ?? ''] });
    for (const id of [resumeFrom, toPublicId('build', v7())]) {
      const { errors } = await ask(id, { projectId: other }, { viewer: limited });
      expect(errors).toMatchObject([{ message: `There is no build ${id}.`, extensions: { code: 'NOT_FOUND' } }]);
    }
  });
});
