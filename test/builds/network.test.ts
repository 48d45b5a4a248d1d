/** What a build may reach: asked for, given by the project or the operator, and never silently forgotten. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BuildSpecInput } from '../../src/builds/build-spec.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { readConfig } from '../../src/config/config.ts';
import { requestData } from '../e2e/graphql-request.ts';
import { openTestApi } from '../support/api.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';

let stack: TestStack;

beforeAll(async () => {
  stack = await openTestStack({ SLIPWAY_NETWORK: 'registry.npmjs.org, *.github.com' });
  await stack.openWorker();
});

afterAll(() => stack[Symbol.asyncDispose]());

const prompt = script({ write: { path: 'a.txt', content: 'a' } });

async function start(network: BuildSpecInput['network'], settings: { network?: BuildSpecInput['network'] } = {}) {
  const project = await stack.createProject({ settings });
  const { build } = await startBuild(stack.orchestrator, { projectId: project.id, spec: { prompt, network } }, 'test');
  return build;
}

describe('what a build may reach', () => {
  const own = { access: 'HOSTS', hosts: ['own.example'] } as const;
  const projects = { access: 'NONE' } as const;

  test('comes from the spec, else from the project, else from the operator', async () => {
    const operators = { access: 'HOSTS', hosts: ['registry.npmjs.org', '*.github.com'] };
    expect((await start({ ...own, hosts: [...own.hosts] }, { network: projects })).spec.network).toEqual(own);
    expect((await start(null, { network: projects })).spec.network).toEqual({ access: 'NONE', hosts: [] });
    expect((await start(undefined)).spec.network).toEqual(operators);
    // Absent: all of it, whatever the operator says.
    expect((await start({ access: 'ALL', hosts: [] })).spec.network).toBeUndefined();
  });

  test('is refused with the place of the mistake', async () => {
    const bad: [NonNullable<BuildSpecInput['network']>, string][] = [
      [{ access: 'HOSTS' }, 'input.spec.network.hosts: must be given'],
      [{ access: 'HOSTS', hosts: [] }, 'input.spec.network.hosts: must be given'],
      [{ access: 'NONE', hosts: ['a.example'] }, 'input.spec.network.hosts: must be given'],
      [{ access: 'HOSTS', hosts: ['a.example', 'http://b'] }, 'input.spec.network.hosts.1: must be a host'],
      [{ access: 'HOSTS', hosts: Array(101).fill('a.example') }, 'input.spec.network.hosts: '],
    ];
    for (const [network, message] of bad) await expect(start(network)).rejects.toThrow(message);
  });

  test('without a sandbox a build that limits it fails before anything runs', async () => {
    const build = await stack.finished((await start({ access: 'NONE' })).id);
    expect(build).toMatchObject({
      status: 'FAILED',
      failure: { reason: 'SANDBOX_UNAVAILABLE', phase: 'PREPARING', retryable: true },
    });
    const all = await stack.finished((await start({ access: 'ALL' })).id);
    expect(all.status).toBe('COMPLETED');
  });
});

test('the API takes it and gives it back, of builds and of projects', async () => {
  await using api = await openTestApi(stack);
  const network = { access: 'HOSTS', hosts: ['a.example', '*.b.example:8443'] };
  const input = { project: { name: 'Limited', settings: { network } }, spec: { prompt } };
  const query = `mutation ($input: CreateAndBuildInput!) { createAndBuild(input: $input) { ... on CreateAndBuildPayload {
    build { spec { network { access hosts } } project { settings { network { access hosts } } } }
  } ... on UserError { code message } } }`;
  const { createAndBuild } = await requestData(api, query, { input });
  expect(createAndBuild.build).toEqual({ spec: { network }, project: { settings: { network } } });
  const bad = { ...input, spec: { prompt, network: { access: 'HOSTS', hosts: ['http://a.example'] } } };
  expect((await requestData(api, query, { input: bad })).createAndBuild.code).toBe('INVALID_INPUT');
});

describe('SLIPWAY_NETWORK', () => {
  test.each([
    ['all', { access: 'ALL', hosts: [] }],
    ['NONE', { access: 'NONE', hosts: [] }],
    ['a.example', { access: 'HOSTS', hosts: ['a.example'] }],
  ])('%s', (text, network) => {
    expect(readConfig({ SLIPWAY_NETWORK: text }).network).toEqual(network);
  });

  test.each(['http://a.example', 'a.example,', 'every'.repeat(80)])('%s is a mistake', (text) => {
    expect(() => readConfig({ SLIPWAY_NETWORK: text })).toThrow('SLIPWAY_NETWORK');
  });
});
