/**
 * Once before all tests on a cluster: a first pod has run. The address at which pods reach this machine is there only then,
 * as the network of a new node is made with its first pod.
 */
import { AGENT_IMAGE, CLUSTER_PROBLEM, openTestNamespace } from './cluster.ts';
import { waitFor } from './wait-for.ts';

export async function setup(): Promise<void> {
  if (CLUSTER_PROBLEM !== '') return;
  await using cluster = await openTestNamespace();
  const run = ['run', 'first', '--image', AGENT_IMAGE, '--image-pull-policy', 'Never', '--restart', 'Never'];
  await cluster.kubectl([...run, '--command', '--', 'true']);
  const phase = () => cluster.kubectl(['get', 'pod', 'first', '-o', 'jsonpath={.status.phase}']);
  const what = `the end of a first pod with the image ${AGENT_IMAGE}`;
  await waitFor(async () => (await phase()) === 'Succeeded', { everyMs: 250, deadlineMs: 120_000, what });
}
