/** Can pods be made as Sandbox objects, where the configuration asks for it? */
import type { Config } from '../config/config.ts';
import type { KubeApi } from '../runtimes/kubernetes/kube-api.ts';
import { SandboxObjects } from '../runtimes/kubernetes/sandbox-objects.ts';
import { SANDBOX_GROUP } from '../runtimes/kubernetes/sandbox-ref.ts';
import { type Finding, finding, messageOf } from './finding.ts';

/** test/deploy/manifests.test.ts compares it with what is shipped. */
export const SANDBOX_VERBS: readonly string[] = ['create', 'get', 'list', 'patch', 'delete'];

const INSTALL = 'Install kubernetes-sigs/agent-sandbox, or set SLIPWAY_KUBERNETES_SANDBOX to false.';
const GRANT = 'Apply deploy/kustomize/components/agent-sandbox, or set SLIPWAY_KUBERNETES_SANDBOX to false.';

/** Nothing where they are not asked for. The pod that doctor tries is made without one: what it needs is the same. */
export async function checkSandboxes(api: KubeApi, config: Pick<Config, 'kubernetesSandbox'>): Promise<Finding[]> {
  if (config.kubernetesSandbox === 'false') return [];
  try {
    const version = await new SandboxObjects(api).findVersion();
    if (version !== null) return [await checkRights(api, version)];
    const missing = `the cluster has no definition of Sandbox (${SANDBOX_GROUP})`;
    if (config.kubernetesSandbox === 'true') return [finding('fail', 'sandboxes', missing, INSTALL)];
    return [finding('ok', 'sandboxes', `${missing}: pods are made without`)];
  } catch (error) {
    return [finding('fail', 'sandboxes', messageOf(error), INSTALL)];
  }
}

async function checkRights(api: KubeApi, version: string): Promise<Finding> {
  const answers = await Promise.all(
    SANDBOX_VERBS.map(async (verb) => ({
      verb,
      ...(await api.reviewAccess({ verb, resource: 'sandboxes', group: SANDBOX_GROUP })),
    })),
  );
  const missing = answers.filter(({ allowed }) => !allowed).map(({ verb }) => verb);
  if (missing.length === 0)
    return finding('ok', 'sandboxes', `${SANDBOX_GROUP}/${version} (${SANDBOX_VERBS.join(', ')})`);
  return finding('fail', 'sandboxes', `missing: ${missing.join(', ')} on sandboxes.${SANDBOX_GROUP}`, GRANT);
}
