/** The API server of an old cluster takes what the overlay for it holds. Nothing is made. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CLUSTER_PROBLEM, openTestNamespace, type TestNamespace } from '../support/cluster.ts';
import { moveTo, renderOverlay } from '../support/manifests.ts';

describe.skipIf(CLUSTER_PROBLEM)('kubectl apply -k', () => {
  let cluster: TestNamespace;
  beforeAll(async () => {
    cluster = await openTestNamespace();
  });
  afterAll(() => cluster[Symbol.asyncDispose]());

  test('the overlay for Kubernetes 1.20 is accepted', async () => {
    const items = moveTo(cluster.namespace, await renderOverlay('kubernetes-1.20'));
    const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
    const answer = await cluster.kubectl(['apply', '--dry-run=server', '--validate=strict', '-f', '-'], { input });
    const lines = answer.trim().split('\n');
    expect(lines).toHaveLength(items.length);
    expect(lines.filter((line) => !line.endsWith('created (server dry run)'))).toEqual([]);
  });
});
