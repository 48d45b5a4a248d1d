import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cancelBuild } from '../../src/builds/cancel-build.ts';
import { retryBuild } from '../../src/builds/retry-build.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { readConfig } from '../../src/config/config.ts';
import { InvalidInputError } from '../../src/errors.ts';
import { updateProject } from '../../src/projects/change-project.ts';
import { createProject } from '../../src/projects/create-project.ts';
import type { WorkspaceSettings } from '../../src/projects/workspace-input.ts';
import { workspaceNeeds } from '../../src/projects/workspace-needs.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { sampleTemplate } from './sample-template.ts';

const KUBERNETES = {
  SLIPWAY_RUNTIME: 'kubernetes',
  SLIPWAY_KUBERNETES_IMAGE: 'registry.example.com/agent:1',
  SLIPWAY_KUBERNETES_TOOLS_IMAGE: 'registry.example.com/slipway:1',
  SLIPWAY_KUBERNETES_ALLOWED_IMAGES: 'registry.example.com/team/*',
  SLIPWAY_KUBERNETES_POD: JSON.stringify({ maximum: { memory: '8Gi' } }),
};
const rules = readConfig(KUBERNETES);
const repositoryUrl = 'https://git.example.com/team/project.git';

const needs = (project: WorkspaceSettings, template: WorkspaceSettings | null = null) =>
  workspaceNeeds(rules, {
    project: { settings: { workspace: project } },
    template: template && sampleTemplate({ workspace: template }),
  });

describe('what a build needs', () => {
  test('is left to the runtime where nobody asks for something', () => {
    const nothing = { image: null, cpu: null, memory: null, storage: null };
    const from = { image: 'operator', cpu: 'operator', memory: 'operator', storage: 'operator' };
    expect(needs({}, {})).toEqual({ ok: true, needs: { ...nothing, from } });
    expect(workspaceNeeds(rules, { project: { settings: {} }, template: null })).toEqual(needs({}));
  });

  test("is the project's before the template's, member by member", () => {
    const project = { image: 'registry.example.com/team/a:1', cpu: null };
    const template = { image: 'registry.example.com/team/b:1', cpu: '1', memory: '8Gi' };
    expect(needs(project, template)).toEqual({
      ok: true,
      needs: {
        image: 'registry.example.com/team/a:1',
        cpu: '1',
        memory: '8Gi',
        storage: null,
        from: { image: 'project', cpu: 'template', memory: 'template', storage: 'operator' },
      },
    });
  });

  test('is refused where the operator no longer allows it, and says who asks and what is allowed', () => {
    expect(needs({}, { image: 'evil.io/x' })).toEqual({
      ok: false,
      message:
        'The image that the template asks for: Builds may not run in the image evil.io/x. Allowed: ' +
        'registry.example.com/agent:1, registry.example.com/team/*.',
    });
    expect(needs({ memory: '9Gi' })).toEqual({
      ok: false,
      message: 'The memory that the project asks for: 9Gi is more than a build may have here: at most 8Gi.',
    });
    expect(needs({ memory: '8192Mi', cpu: '2000m' })).toMatchObject({ ok: true });
  });

  test('is not looked at by the local runtime', () => {
    const local = readConfig({});
    const project = { settings: { workspace: { image: 'evil.io/x', memory: '900Gi' } } };
    expect(workspaceNeeds(local, { project, template: null })).toMatchObject({ ok: true });
  });
});

describe('the settings of a project', () => {
  let stack: TestStack;
  beforeAll(async () => {
    stack = await openTestStack();
  });
  afterAll(() => stack[Symbol.asyncDispose]());

  const refusal = (error: unknown) =>
    error instanceof InvalidInputError ? { code: error.code, issues: error.issues } : error;

  test('are changed member by member', async () => {
    const project = await stack.createProject({ settings: { workspace: { image: 'node:24', memory: '2Gi' } } });
    const change = async (workspace: WorkspaceSettings) =>
      (await updateProject(stack.orchestrator, { id: project.id, changes: { settings: { workspace } } }, 'test'))
        .settings.workspace;
    expect(await change({ cpu: '2' })).toEqual({ image: 'node:24', memory: '2Gi', cpu: '2' });
    expect(await change({ image: null })).toEqual({ image: null, memory: '2Gi', cpu: '2' });
  });

  test('are refused with what is allowed, where builds run on Kubernetes', async () => {
    const deps = { ...stack.orchestrator, config: { ...stack.orchestrator.config, ...rules } };
    const settings = { workspace: { image: 'evil.io/x', memory: '9Gi' } };
    const told = await createProject(deps, { name: 'Denied', repositoryUrl, settings }, 'test').catch(refusal);
    expect(told).toMatchObject({
      issues: [
        {
          path: ['input', 'settings', 'workspace', 'image'],
          message: expect.stringContaining('Allowed: registry.example.com/agent:1, registry.example.com/team/*'),
        },
        { path: ['input', 'settings', 'workspace', 'memory'], message: expect.stringContaining('at most 8Gi') },
      ],
    });
    const image = { workspace: { image: 'evil.io/x' } };
    expect(
      await createProject(deps, { name: 'Denied', repositoryUrl, settings: image }, 'test').catch(refusal),
    ).toMatchObject({
      code: 'IMAGE_DENIED',
    });
  });

  test('are looked at again when a build is started or tried again, should the operator have changed his mind', async () => {
    const project = await stack.createProject({ repositoryUrl, settings: { workspace: { image: 'evil.io/x' } } });
    const deps = { ...stack.orchestrator, config: { ...stack.orchestrator.config, ...rules } };
    const input = { projectId: project.id, spec: { prompt: 'x' } };
    expect(await startBuild(deps, input, 'test').catch(refusal)).toMatchObject({ code: 'WORKSPACE_DENIED' });
    const { build } = await startBuild(stack.orchestrator, input, 'test');
    expect(build.status).toBe('PENDING');
    await cancelBuild(stack.orchestrator, { id: build.id }, 'test');
    expect(await retryBuild(deps, { id: build.id }, 'test').catch(refusal)).toEqual({
      code: 'WORKSPACE_DENIED',
      issues: [{ path: ['input', 'id'], message: expect.stringContaining('that the project asks for') }],
    });
  });
});
