/** What cannot be done in pods is refused when somebody asks for it, also by an API that has no pods. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cancelBuild } from '../../src/builds/cancel-build.ts';
import { createAndBuild } from '../../src/builds/create-and-build.ts';
import { retryBuild } from '../../src/builds/retry-build.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { validateBuild } from '../../src/builds/validate-build.ts';
import { readConfig } from '../../src/config/config.ts';
import { InvalidInputError } from '../../src/errors.ts';
import { updateProject } from '../../src/projects/change-project.ts';
import { createProject } from '../../src/projects/create-project.ts';
import { findProject, type Project } from '../../src/projects/project.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';

const KUBERNETES = {
  SLIPWAY_RUNTIME: 'kubernetes',
  SLIPWAY_KUBERNETES_IMAGE: 'registry.example.com/agent:1',
  SLIPWAY_KUBERNETES_TOOLS_IMAGE: 'registry.example.com/slipway:1',
  SLIPWAY_DEFAULT_PROVIDER: 'scripted',
};
const HOSTS = { access: 'HOSTS', hosts: ['registry.npmjs.org'] } satisfies Project['settings']['network'];
const repositoryUrl = 'https://git.example.com/team/project.git';
const spec = { prompt: script({ write: { path: 'a.txt', content: 'a' } }) };

let stack: TestStack;
/** The same database after its operator has moved to Kubernetes. */
let moved: TestStack['orchestrator'];

beforeAll(async () => {
  stack = await openTestStack();
  const { dataFolder } = stack.orchestrator.config;
  moved = { ...stack.orchestrator, config: readConfig({ ...KUBERNETES, SLIPWAY_DATA: dataFolder }) };
});

afterAll(() => stack[Symbol.asyncDispose]());

async function refusal(work: Promise<unknown>) {
  const error = await work.catch((problem: unknown) => problem);
  if (!(error instanceof InvalidInputError)) throw new Error(`was not refused: ${String(error)}`);
  return { code: error.code, path: error.issues[0]?.path.join('.'), message: error.issues[0]?.message };
}

const countBuilds = async () => (await stack.orchestrator.db.selectFrom('build_audit').select('id').execute()).length;
const outOfReach = (path: string) => ({
  ...{ code: 'REPOSITORY_OUT_OF_REACH', path },
  message: expect.stringContaining('give the project a repositoryUrl'),
});
const unsupported = (path: string) => ({
  ...{ code: 'NETWORK_UNSUPPORTED', path },
  message: expect.stringContaining('allow it ALL or NONE of the network'),
});

describe('a repository that pods do not reach', () => {
  test('is refused with the project', async () => {
    expect(await refusal(createProject(moved, { name: 'managed' }, 'test'))).toEqual(outOfReach('input.repositoryUrl'));
    const both = createAndBuild(moved, { project: { name: 'managed' }, spec }, 'test');
    expect(await refusal(both)).toEqual(outOfReach('input.project.repositoryUrl'));
  });

  test.each([null, '/srv/git/project.git'])(
    'of an older project (%s) is refused with each build of it',
    async (url) => {
      const project = await stack.createProject({ repositoryUrl: url });
      const { build } = await startBuild(stack.orchestrator, { projectId: project.id, spec }, 'test');
      await cancelBuild(stack.orchestrator, { id: build.id }, 'test');
      const before = await countBuilds();
      const input = { projectId: project.id, spec };
      expect(await refusal(startBuild(moved, input, 'test'))).toEqual(outOfReach('input.projectId'));
      expect(await refusal(retryBuild(moved, { id: build.id }, 'test'))).toEqual(outOfReach('input.id'));
      expect(await validateBuild(moved, input)).toMatchObject({ ready: false, issues: [{ path: ['projectId'] }] });
      expect(await countBuilds()).toBe(before);

      await updateProject(moved, { id: project.id, changes: { repositoryUrl } }, 'test');
      await startBuild(moved, input, 'test');
    },
  );
});

describe('a network of hosts by their names', () => {
  test('is refused with the project and with its change', async () => {
    const input = { name: 'hosts', repositoryUrl, settings: { network: HOSTS } };
    expect(await refusal(createProject(moved, input, 'test'))).toEqual(unsupported('input.settings.network'));
    const project = await createProject(moved, { ...input, settings: { network: { access: 'NONE' } } }, 'test');
    const change = updateProject(moved, { id: project.id, changes: { settings: { network: HOSTS } } }, 'test');
    expect(await refusal(change)).toEqual(unsupported('input.settings.network'));
    expect((await findProject(stack.orchestrator.db, project.id))?.settings.network).toEqual({ access: 'NONE' });
  });

  test('is refused with the build, whether the build or its older project asks for it', async () => {
    const older = await stack.createProject({ repositoryUrl, settings: { network: HOSTS } });
    const plain = await stack.createProject({ repositoryUrl });
    const start = (projectId: string, network?: typeof HOSTS) =>
      startBuild(moved, { projectId, spec: { ...spec, ...(network ? { network } : {}) } }, 'test');
    expect(await refusal(start(older.id))).toEqual(unsupported('input.spec.network'));
    expect(await refusal(start(plain.id, HOSTS))).toEqual(unsupported('input.spec.network'));
    expect((await start(plain.id)).build.status).toBe('PENDING');
  });

  test('is refused when a build of before the move is tried again', async () => {
    const project = await stack.createProject({ repositoryUrl, settings: { network: HOSTS } });
    const { build } = await startBuild(stack.orchestrator, { projectId: project.id, spec }, 'test');
    await cancelBuild(stack.orchestrator, { id: build.id }, 'test');
    expect(await refusal(retryBuild(moved, { id: build.id }, 'test'))).toEqual(unsupported('input.id'));
  });

  test('is no option of the operator', () => {
    const read = () => readConfig({ ...KUBERNETES, SLIPWAY_NETWORK: 'registry.npmjs.org' });
    expect(read).toThrow(/SLIPWAY_NETWORK: must be ALL or NONE with SLIPWAY_RUNTIME=kubernetes/);
    expect(readConfig({ ...KUBERNETES, SLIPWAY_NETWORK: 'none' }).network.access).toBe('NONE');
  });
});
