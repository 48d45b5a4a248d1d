/** The contract of every runtime, kept by pods of a real cluster. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openKubernetesRuntime } from '../../src/runtimes/kubernetes/kubernetes.ts';
import type { Runtime, WorkspaceNeeds } from '../../src/runtimes/runtime.ts';
import { ALL_OF_THE_NETWORK } from '../../src/std/network-access.ts';
import { describeRuntime } from '../contracts/runtime.contract.ts';
import type { RuntimeUnderTest } from '../contracts/runtime-case.ts';
import { CLUSTER_PROBLEM, openTestNamespace, type TestNamespace } from '../support/cluster.ts';
import { runtimeOptions } from '../support/kubernetes-runtime.ts';
import { waitFor } from '../support/wait-for.ts';

describe.skipIf(CLUSTER_PROBLEM)('builds in pods', () => {
  let cluster: TestNamespace;
  const projectId = randomUUID();

  beforeAll(async () => {
    cluster = await openTestNamespace();
  });

  afterAll(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  async function open(mode: 'pod' | 'exec'): Promise<RuntimeUnderTest> {
    const opened = new AsyncDisposableStack();
    const needs: WorkspaceNeeds = { projectId };
    const builds = new Set<string>();
    const openOne = async (): Promise<Runtime> => {
      const runtime = opened.use(await openKubernetesRuntime(runtimeOptions(cluster, { mode })));
      const openBuild: Runtime['open'] = async (buildId, more) => {
        const workspace = await runtime.open(buildId, { ...needs, ...more });
        builds.add(buildId);
        return workspace;
      };
      return { ...runtime, open: openBuild };
    };
    const runtime = await openOne();
    return {
      runtime,
      keepsHomes: mode === 'exec',
      guardsInbox: true,
      outlive: 'all',
      reopen: openOne,
      async [Symbol.asyncDispose]() {
        // Nobody waits for their end: the next test has other names.
        const pods = [...builds].map((buildId) => `slipway-${buildId}`);
        const remove = ['delete', 'pods', '--wait=false', '--ignore-not-found', ...pods];
        if (mode === 'pod' && pods.length > 0) await cluster.kubectl(remove);
        await opened.disposeAsync();
      },
    };
  }

  test('a sweep kills also what took its mark off', async () => {
    await using underTest = await open('pod');
    const { runtime } = underTest;
    const build = randomUUID();
    const workspace = await runtime.open(build);
    await workspace.start({
      argv: ['/bin/sh', '-c', 'env -i setsid sleep 4321 & env -i sleep 4321'],
      cwd: workspace.paths.work,
      env: {},
      stdin: '',
      redact: (line) => line,
      network: ALL_OF_THE_NETWORK,
    });
    const names = () =>
      cluster.kubectl([
        'exec',
        `slipway-${build}`,
        '-c',
        'agent',
        '--',
        'sh',
        '-c',
        'for process in /proc/[0-9]*; do tr "\\0" " " <$process/cmdline; echo; done',
      ]);
    const alive = async () => (await names()).split('\n').filter((line) => line.trim() === 'sleep 4321').length;
    await waitFor(async () => (await alive()) === 2, { what: 'both' });
    expect(await runtime.sweep(build)).toBeGreaterThanOrEqual(2);
    expect(await alive()).toBe(0);
    expect(await runtime.sweep(build)).toBe(0);
  });

  describeRuntime('kubernetes, a pod per build', () => open('pod'), { concurrent: true });
  describeRuntime('kubernetes, a pod per project', () => open('exec'), { concurrent: true });
});
