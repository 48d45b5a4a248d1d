/** What becomes of a build when its pod cannot start, or does not live to the end. */
import { describe, expect, test } from 'vitest';
import type { Build } from '../../src/builds/build.ts';
import type { FailureReason } from '../../src/builds/build-result.ts';
import type { ProjectInput } from '../../src/projects/create-project.ts';
import { CLUSTER_PROBLEM } from '../support/cluster.ts';
import { script } from '../support/script.ts';
import { agentStarts, type FaultRig, faultCase, gated, podOf, says } from './fault-rig.ts';

const MISSING_IMAGE = 'docker.io/local/there-is-no-such-image:1';
const ENVIRONMENT = {
  SLIPWAY_KUBERNETES_ALLOWED_IMAGES: 'docker.io/local/*',
  SLIPWAY_KUBERNETES_START_SECONDS: '20',
  OPENAI_API_KEY: 'test-key',
};
const QUOTA = {
  apiVersion: 'v1',
  kind: 'ResourceQuota',
  metadata: { name: 'pods' },
  spec: { hard: { pods: '0' } },
};

type Case = Awaited<ReturnType<typeof openCase>>;

describe.skipIf(CLUSTER_PROBLEM).concurrent('pods of builds', { timeout: 300_000 }, () => {
  describe('that end', () => {
    podTest(
      'with too little memory for a child of the agent: the build is out of memory',
      'a child of the agent needs too much memory',
      async ({ rig, expectFailure }) => {
        const greedy = { run: 'head -c 1500000000 /dev/zero | tail -c 1400000000 >/dev/null' };
        const build = await rig.start(await rig.openProject(), script(greedy));
        return expectFailure(build, 'OUT_OF_MEMORY', /more memory than/);
      },
    );

    podTest(
      'with too little memory for the agent itself: the build is out of memory',
      'the agent is killed for memory',
      async ({ rig, expectFailure }) => {
        const project = await rig.openProject(withWorkspace({ memory: '40Mi' }));
        return expectFailure(await rig.start(project, gated()), 'OUT_OF_MEMORY', /more memory than/);
      },
    );

    podTest(
      'with the eviction API: the build begins anew',
      'pod evicted by the eviction API',
      async ({ rig, startGated, expectCompleted }) => {
        const build = await startGated();
        const { namespace } = rig.cluster;
        const metadata = { name: podOf(build), namespace };
        const eviction = { apiVersion: 'policy/v1beta1', kind: 'Eviction', metadata };
        const path = `/api/v1/namespaces/${namespace}/pods/${podOf(build)}/eviction`;
        await rig.cluster.kubectl(['create', '--raw', path, '-f', '-'], { input: JSON.stringify(eviction) });
        await rig.happened(build, 'the retry', ({ type }) => type === 'RETRY_SCHEDULED');
        await rig.happened(build, 'the second agent', says('begin'), 2);
        await rig.openGate(build);
        const result = await expectCompleted(build, 2);
        expect([await agentStarts(rig, build), await rig.podsMade(build)]).toEqual([2, 2]);
        return result;
      },
    );

    podTest(
      'with more files than they may hold: the workspace is full',
      'more ephemeral storage than allowed',
      async ({ rig, expectFailure }) => {
        const fill = { run: 'head -c 200000000 /dev/zero >big.bin; sleep 250' };
        const project = await rig.openProject(withWorkspace({ storage: '100Mi' }));
        return expectFailure(await rig.start(project, script(fill)), 'WORKSPACE_FULL', /evicted/i);
      },
    );

    podTest(
      'at their deadline: the build has run out of time',
      'activeDeadlineSeconds is over',
      async ({ rig, startGated, expectFailure }) => {
        const build = await startGated();
        await rig.cluster.kubectl(['patch', 'pod', podOf(build), '-p', '{"spec":{"activeDeadlineSeconds":1}}']);
        return expectFailure(build, 'TIMEOUT', /as long as it may/);
      },
    );
  });

  describe('that do not start', () => {
    podTest(
      'without an image: the build fails with the words of Kubernetes',
      'image missing',
      async ({ rig, expectFailure }) => {
        const project = await rig.openProject(withWorkspace({ image: MISSING_IMAGE }));
        return expectFailure(await rig.start(project, gated()), 'SANDBOX_FAILED', /ErrImageNeverPull/);
      },
    );

    podTest('by the name of their image are refused before there is a build', 'invalid image name', async ({ rig }) => {
      const project = rig.openProject(withWorkspace({ image: 'docker.io/local/No Such' }));
      await expect(project).rejects.toThrow();
      return 'refused with the project';
    });

    podTest(
      'on no node: the build waits, says so, and fails in time',
      'unschedulable',
      async ({ rig, warned, expectFailure }) => {
        const build = await rig.start(await rig.openProject(withWorkspace({ cpu: '2' })), gated());
        await warned(build, /Insufficient cpu/);
        return expectFailure(build, 'SANDBOX_FAILED', /No node takes the pod.*Insufficient cpu/);
      },
    );

    podTest(
      'for a quota wait for room, and fail in time where none is made',
      'quota exceeded, and no room is made',
      async ({ rig, warned, expectFailure }) => {
        await rig.cluster.apply(QUOTA);
        const build = await rig.start(await rig.openProject(), gated());
        await warned(build, /quota/);
        return expectFailure(build, 'SANDBOX_FAILED', /exceeded quota/);
      },
    );

    podTest(
      'for a quota wait for room, and go on when it is made',
      'quota exceeded, then room is made',
      async ({ rig, warned, expectCompleted }) => {
        await rig.cluster.apply(QUOTA);
        const build = await rig.start(await rig.openProject(), gated());
        await warned(build, /quota/);
        await rig.cluster.kubectl(['delete', 'resourcequota', 'pods']);
        await rig.happened(build, 'the agent', says('begin'));
        await rig.openGate(build);
        return expectCompleted(build, 1);
      },
    );
  });

  podTest(
    'without the program of the agent: the agent is not available',
    'agent program missing in the image',
    async ({ rig, expectFailure }) => {
      const build = await rig.start(await rig.openProject(), 'hello', { provider: 'codex' });
      return expectFailure(build, 'PROVIDER_UNAVAILABLE', /codex/);
    },
  );
});

function podTest(name: string, fault: string, run: (opened: Case) => Promise<string>): void {
  test(
    name,
    faultCase(fault, async (rig) => run(await openCase(rig)), { env: ENVIRONMENT }),
  );
}

async function openCase(rig: FaultRig) {
  const worker = await rig.stack.openWorker(1);
  const nothingIsLeft = async (build: Build) => {
    await rig.slotIsFree(worker, build);
    await rig.noPodIsLeft();
  };
  return {
    rig,
    async startGated() {
      const build = await rig.start(await rig.openProject(), gated());
      await rig.happened(build, 'the agent', says('begin'));
      return build;
    },
    async warned(build: Build, words: RegExp) {
      await rig.happened(
        build,
        'the warning',
        ({ type, data }) => type === 'WARNING' && words.test(JSON.stringify(data)),
      );
    },
    /** The end of a build that fails: its reason, a free slot, and nothing left behind. */
    async expectFailure(build: Build, reason: FailureReason, message: RegExp) {
      const { status, failure } = await rig.finished(build);
      expect({ status, reason: failure?.reason }).toEqual({ status: 'FAILED', reason });
      expect(failure?.message).toMatch(message);
      await nothingIsLeft(build);
      expect(await rig.commits(build)).toBe(0);
      return `FAILED, ${reason}`;
    },
    async expectCompleted(build: Build, attemptNo: number) {
      expect(await rig.finished(build)).toMatchObject({ status: 'COMPLETED', failure: null, attemptNo });
      await nothingIsLeft(build);
      expect(await rig.commits(build)).toBe(1);
      return `COMPLETED, attempt ${attemptNo}, 1 commit`;
    },
  };
}

function withWorkspace(workspace: object): Partial<ProjectInput> {
  return { settings: { workspace } };
}
