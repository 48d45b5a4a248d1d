/** What Slipway keeps of a pod: a worker holds one for each of its pods, and a pod as the API gives it is many times as large. */
import { cutMessage } from './kube-error.ts';
import { type SandboxRef, sandboxRef } from './sandbox-ref.ts';

export interface ContainerView {
  readonly name: string;
  readonly state: 'waiting' | 'running' | 'terminated' | 'unknown';
  /** Such as ImagePullBackOff or OOMKilled; '' when there is none. */
  readonly reason: string;
  readonly message: string;
  /** Of one that has terminated. */
  readonly exitCode: number | null;
  readonly signal: number | null;
}

export interface PodCondition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

export interface PodView {
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Only Slipway's own: those of others may be large. */
  readonly annotations: Readonly<Record<string, string>>;
  readonly createdAt: Date;
  /** When it is to be gone, if its deletion was asked for. */
  readonly deletesAt: Date | null;
  /** Pending, Running, Succeeded, Failed, Unknown. */
  readonly phase: string;
  /** Of the pod, such as Evicted. */
  readonly reason: string;
  readonly message: string;
  readonly conditions: readonly PodCondition[];
  readonly initContainers: readonly ContainerView[];
  readonly containers: readonly ContainerView[];
  /** The Sandbox object that it was made of; null for all other pods. */
  readonly sandbox: SandboxRef | null;
}

type Fields = Readonly<Record<string, unknown>>;

const OWN_ANNOTATION = /^slipway\.dev\//;
/** More than a pod of ours can have. */
const MAX_ENTRIES = 32;

/** Whatever the server sends becomes a view; null for what has no name or no uid. */
export function viewOfPod(pod: unknown): PodView | null {
  const { metadata, status } = fields(pod);
  const { name, uid, ...meta } = fields(metadata);
  if (typeof name !== 'string' || typeof uid !== 'string') return null;
  const state = fields(status);
  return {
    name,
    uid,
    resourceVersion: text(meta.resourceVersion),
    labels: texts(meta.labels),
    annotations: texts(meta.annotations, OWN_ANNOTATION),
    createdAt: new Date(text(meta.creationTimestamp)),
    deletesAt: typeof meta.deletionTimestamp === 'string' ? new Date(meta.deletionTimestamp) : null,
    phase: text(state.phase) || 'Unknown',
    reason: text(state.reason),
    message: text(state.message),
    conditions: entries(state.conditions).map((condition) => ({
      type: text(condition.type),
      status: text(condition.status),
      reason: text(condition.reason),
      message: text(condition.message),
    })),
    initContainers: entries(state.initContainerStatuses).map(viewOfContainer),
    containers: entries(state.containerStatuses).map(viewOfContainer),
    sandbox:
      entries(meta.ownerReferences)
        .map(sandboxRef)
        .find((owner) => owner !== null) ?? null,
  };
}

function viewOfContainer(status: Fields): ContainerView {
  const now = fields(status.state);
  const state = (['terminated', 'running', 'waiting'] as const).find((kind) => now[kind] !== undefined) ?? 'unknown';
  const details = fields(now[state]);
  return {
    name: text(status.name),
    state,
    reason: text(details.reason),
    message: text(details.message),
    exitCode: number(details.exitCode),
    signal: number(details.signal),
  };
}

function fields(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}

function entries(value: unknown): Fields[] {
  return Array.isArray(value) ? value.slice(0, MAX_ENTRIES).map(fields) : [];
}

function text(value: unknown): string {
  return typeof value === 'string' ? cutMessage(value) : '';
}

function texts(value: unknown, keys = /^/): Record<string, string> {
  return Object.fromEntries(
    Object.entries(fields(value)).filter((entry): entry is [string, string] => {
      return keys.test(entry[0]) && typeof entry[1] === 'string';
    }),
  );
}

function number(value: unknown): number | null {
  return typeof value === 'number' ? value : null;
}
