/** The API server takes every pod that Slipway would make; it only says so and makes none. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { podSpec } from '../../src/runtimes/kubernetes/pod-spec.ts';
import { anyRequest, podRequest, podSettings } from '../runtimes/kubernetes/pod-requests.ts';
import { AGENT_IMAGE, CLUSTER_PROBLEM, openTestNamespace, type TestNamespace } from '../support/cluster.ts';
import { waitFor } from '../support/wait-for.ts';

const PODS = 25;

describe.skipIf(CLUSTER_PROBLEM)('pods', () => {
  let cluster: TestNamespace;
  beforeAll(async () => {
    cluster = await openTestNamespace();
    await cluster.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'builds' } });
  });
  afterAll(() => cluster?.[Symbol.asyncDispose]());

  it('are accepted, whatever the operator has set', async () => {
    // Only a class that the cluster has would be accepted.
    const classless = { runtimeClassName: null };
    const pods = fc
      .sample(anyRequest, PODS)
      .map((request) => podSpec({ ...request, settings: { ...request.settings, ...classless } }));
    const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: pods });
    const told = await cluster.kubectl(['create', '--dry-run=server', '-o', 'name', '-f', '-'], { input: list });
    expect(told.trim().split('\n')).toHaveLength(PODS);
  });

  it('keep their containers apart, and run what is in them as nobody special', { timeout: 120_000 }, async () => {
    const request = podRequest({ settings: podSettings({ imagePullPolicy: 'Never', env: { GREETING: '$(HOME)' } }) });
    const { spec, ...pod } = podSpec(request);
    // The image of the agent stands in for Slipway's own: what is looked at is the pod, not the tools.
    const containers = (spec?.containers ?? []).map((container) => ({ ...container, image: AGENT_IMAGE }));
    await cluster.apply({ ...pod, spec: { ...spec, initContainers: [], containers } });
    const run = (container: string, script: string) =>
      cluster.kubectl(['exec', request.name, '-c', container, '--', 'sh', '-c', script]).then(
        (stdout) => stdout.trim(),
        (error: { code: number }) => `exit code ${error.code}`,
      );
    await cluster.kubectl(['wait', '--for=condition=Ready', `pod/${request.name}`, '--timeout=60s']);
    expect(await run('agent', 'id -u; id -G; pwd; echo "$GREETING"')).toBe('1000\n1000\n/tmp\n$(HOME)');
    expect(await run('agent', 'echo > /slipway/builds/x; echo > /tmp/x; ls /slipway')).toBe(
      'builds\ncache\ninbox\ntools',
    );
    expect(await run('git', 'cat /slipway/builds/x; echo > /slipway/git/x && ls /slipway/git')).toContain('x');
    for (const path of ['/x', '/slipway/inbox/x', '/slipway/cache/x', '/slipway/tools/x']) {
      expect(await run('agent', `echo > ${path}`), path).toMatch(/^exit code [12]$/);
    }
    expect(await run('agent', 'ls /var/run/secrets/kubernetes.io')).toMatch(/^exit code/);
    const processes = 'readlink /proc/self/ns/pid';
    expect(await run('agent', processes)).toMatch(/^pid:/);
    expect(await run('agent', processes)).not.toBe(await run('git', processes));

    const began = performance.now();
    await cluster.kubectl(['delete', 'pod', request.name, '--wait=false']);
    const isGone = async () => (await cluster.kubectl(['get', 'pods', '-o', 'name'])) === '';
    await waitFor(isGone, { deadlineMs: 60_000, everyMs: 200, what: 'the end of the pod' });
    console.log(`a pod that is told to end is gone after ${Math.round(performance.now() - began)} ms`);
  });
});
