/** Scopes hold below the roots, too, and odd lists are lists. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startBuild } from '../../src/builds/start-build.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { Api, viewer } from './api.ts';

let stack: TestStack;
let api: Api;
let projectId: string;

beforeAll(async () => {
  stack = await openTestStack();
  api = new Api(stack.orchestrator);
  projectId = (await stack.createProject()).id;
  await startBuild(stack.orchestrator, { projectId, spec: { prompt: 'TOP SECRET' } }, 'test');
});
afterAll(() => stack[Symbol.asyncDispose]());

it.each(['stats:read', 'workers', 'projects:write'] as const)(
  '%s does not reach builds through the viewer',
  async (scope) => {
    const limited = viewer({ scopes: [scope], projectIds: [projectId] });
    const query = '{ viewer { projects { builds(first: 1) { nodes { spec { prompt } } } } } }';
    const answer = await api.run(query, { viewer: limited });
    expect(JSON.stringify(answer)).not.toContain('TOP SECRET');
    expect(answer.errors[0]?.extensions).toMatchObject({ code: 'FORBIDDEN' });
  },
);

it('an empty list of event types gives no events', async () => {
  const answer = await api.run('{ builds { nodes { events(types: []) { nodes { cursor } } } } }');
  expect(answer).toMatchObject({ errors: [], data: { builds: { nodes: [{ events: { nodes: [] } }] } } });
});
