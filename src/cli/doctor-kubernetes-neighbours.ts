/** Other installations in the namespace of the builds. They are left alone, and want room, too. */
import type { Config } from '../config/config.ts';
import { openDatabase } from '../database/database.ts';
import { readInstallation } from '../database/installation.ts';
import type { KubeApi } from '../runtimes/kubernetes/kube-api.ts';
import { LABELS } from '../runtimes/kubernetes/pod-layout.ts';
import { createLogger } from '../telemetry/logger.ts';
import { DOCTOR } from './doctor-kubernetes-pod.ts';
import { type Finding, finding } from './finding.ts';

const MAX_NAMED = 5;

/** Empty where there is nobody else, or nobody can say. Never rejects: what lacks is said by other checks. */
export async function checkNeighbours(
  api: KubeApi,
  config: Pick<Config, 'databaseUrl' | 'kubernetesInstance'>,
): Promise<Finding[]> {
  try {
    const counts = await countPods(api);
    const own = config.kubernetesInstance ?? (await findInstallation(config));
    const others = [...counts].filter(([instance]) => instance !== own);
    // Without a database nobody knows which of them is this one.
    if (others.length < (own === null ? 2 : 1)) return [];
    const pods = others.reduce((sum, [, count]) => sum + count, 0);
    const named = others.slice(0, MAX_NAMED).map(([instance, count]) => `${instance} (${count})`);
    const whose = own === null ? 'several installations' : 'other installations';
    const message = `${api.namespace} has ${pods} pods of ${whose}: ${named.join(', ')}`;
    const remedy =
      'They are left alone, and count against the same quota: give each a namespace of its own (SLIPWAY_KUBERNETES_NAMESPACE). ' +
      `Of one that is gone: kubectl -n ${api.namespace} delete pods -l ${LABELS.instance}=…`;
    return [finding('warn', 'namespace', message, remedy)];
  } catch {
    return [];
  }
}

async function countPods(api: KubeApi): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  for await (const { items } of api.podPages({ labelSelector: `${LABELS.managedBy}=slipway` })) {
    for (const { metadata } of items) {
      const instance = metadata?.labels?.[LABELS.instance];
      if (instance !== undefined && instance !== DOCTOR) counts.set(instance, (counts.get(instance) ?? 0) + 1);
    }
  }
  return counts;
}

/** Null where no database is configured, or it does not answer, or is not migrated. */
async function findInstallation({ databaseUrl: url }: Pick<Config, 'databaseUrl'>): Promise<string | null> {
  if (url === undefined) return null;
  const db = openDatabase({ url, poolSize: 1, name: 'slipway doctor', logger: createLogger('silent') });
  try {
    return await readInstallation(db);
  } catch {
    return null;
  } finally {
    await db.destroy();
  }
}
