import type { NetworkAccess } from './network-access.ts';

/** Why a NetworkPolicy, which knows addresses and labels and no names, cannot keep a pod to this network; null when it can. */
export function podNetworkProblem({ access, hosts }: NetworkAccess): string | null {
  if (access === 'ALL' || hosts.length === 0) return null;
  return (
    'Kubernetes cannot limit what a build reaches to hosts by their names: allow it ALL or NONE of the network; what ' +
    'pods with NONE may reach is in the NetworkPolicy of the operator.'
  );
}
