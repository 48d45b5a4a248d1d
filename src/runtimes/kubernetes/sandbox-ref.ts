/** Which Sandbox object a pod is of. */
export const SANDBOX_GROUP = 'agents.x-k8s.io';

export interface SandboxRef {
  /** Of the API: v1beta1. */
  readonly version: string;
  readonly name: string;
  readonly uid: string;
}

const API_VERSION = /^agents\.x-k8s\.io\/(v\d+[a-z\d]{0,20})$/;

/** An owner reference of a pod; null for any other owner. */
export function sandboxRef(owner: Readonly<Record<string, unknown>>): SandboxRef | null {
  const { apiVersion, kind, name, uid } = owner;
  const [, version] = API_VERSION.exec(typeof apiVersion === 'string' ? apiVersion : '') ?? [];
  if (version === undefined || kind !== 'Sandbox' || typeof name !== 'string' || typeof uid !== 'string') return null;
  return { version, name, uid };
}
