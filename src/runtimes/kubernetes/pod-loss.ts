/** What the state of a pod means for the build in it. */
import { type LossReason, WorkspaceLostError } from '../workspace-lost.ts';
import { CONTAINERS } from './pod-layout.ts';
import type { ContainerView, PodView } from './pod-view.ts';

/** Reasons of a container that is waited for in vain. */
const HOPELESS = new Set([
  'ErrImageNeverPull',
  'InvalidImageName',
  'CreateContainerConfigError',
  'CreateContainerError',
  'RunContainerError',
]);
/** An image that cannot be had now may be there after the registry has been asked again. */
const PULLING = new Set(['ErrImagePull', 'ImagePullBackOff', 'RegistryUnavailable']);
const DISK = /ephemeral|emptydir|local storage|disk ?pressure/i;

/** Null while the pod lives; undefined is a pod that is gone. */
export function lossOf(pod: PodView | undefined): WorkspaceLostError | null {
  if (pod === undefined) return lost('deleted', 'The pod of the build is gone: somebody has deleted it, or its node.');
  const ended = pod.containers.find(({ state }) => state === 'terminated');
  const oom = pod.containers.find(({ reason }) => reason === 'OOMKilled');
  if (oom) return outOfMemory();
  const words = `${pod.reason}${pod.message === '' ? '' : `: ${pod.message}`}`;
  if (pod.reason === 'DeadlineExceeded') return lost('deadline', 'The pod of the build had lived as long as it may.');
  if (pod.reason === 'Evicted') {
    if (DISK.test(pod.message)) return lost('disk_full', `The pod of the build was evicted: ${pod.message}`);
    return lost('evicted', `The pod of the build was evicted (${words}).`);
  }
  if (pod.deletesAt !== null) {
    const ready = pod.conditions.find(({ type }) => type === 'Ready');
    const unreachable = pod.reason === 'NodeLost' || ready?.status === 'Unknown' || isTainted(pod);
    if (unreachable) return lost('unreachable', 'The node of the build does not answer.');
    return lost('deleted', 'The pod of the build was deleted.');
  }
  if (pod.phase === 'Failed' || pod.phase === 'Succeeded' || ended) {
    const how = ended ? ` Its container ${describe(ended)}.` : '';
    return lost('evicted', `The pod of the build has ended${words === '' ? '' : ` (${words})`}.${how}`);
  }
  return null;
}

export function outOfMemory(): WorkspaceLostError {
  return lost('out_of_memory', 'The build was killed because it needed more memory than its workspace has.');
}

/** The node life cycle controller marks the pods of a node that it has lost, before it deletes them. */
function isTainted({ conditions }: PodView): boolean {
  return conditions.some(({ type, reason }) => type === 'DisruptionTarget' && reason === 'DeletionByTaintManager');
}

function lost(reason: LossReason, message: string): WorkspaceLostError {
  return new WorkspaceLostError(reason, message);
}

function describe({ name, exitCode, signal, reason }: ContainerView): string {
  const end = signal === null ? `exited with ${exitCode ?? '?'}` : `was killed by signal ${signal}`;
  return `${name} ${end}${reason === '' ? '' : ` (${reason})`}`;
}

export function isRunning(pod: PodView): boolean {
  const names = [CONTAINERS.git, CONTAINERS.agent];
  return names.every((wanted) => pod.containers.some(({ name, state }) => name === wanted && state === 'running'));
}

/** Its kubelet has said that nothing of it runs any more, since its deletion was asked for. */
export function hasEnded(pod: PodView): boolean {
  const names = [CONTAINERS.git, CONTAINERS.agent];
  const isOver = names.every((wanted) =>
    pod.containers.some(({ name, state }) => name === wanted && state === 'terminated'),
  );
  return pod.deletesAt !== null && isOver;
}

export interface StartProblem {
  /** In Kubernetes' own words. */
  readonly message: string;
  /** It will not start, however long one waits. */
  readonly isFinal: boolean;
}

/** Why the pod does not run yet; null when there is nothing to say but that it takes its time. */
export function startProblem(pod: PodView): StartProblem | null {
  const containers = [...pod.initContainers, ...pod.containers];
  const failed = pod.initContainers.find(({ state, exitCode }) => state === 'terminated' && exitCode !== 0);
  if (failed) return { message: `The container ${describe(failed)}. ${failed.message}`.trim(), isFinal: true };
  const waiting = containers.find(
    ({ state, reason }) => state === 'waiting' && (HOPELESS.has(reason) || PULLING.has(reason)),
  );
  if (waiting) {
    const message = `The container ${waiting.name} does not start: ${waiting.reason}. ${waiting.message}`.trim();
    return { message, isFinal: HOPELESS.has(waiting.reason) };
  }
  const scheduled = pod.conditions.find(({ type }) => type === 'PodScheduled');
  if (scheduled?.status === 'False') return { message: `No node takes the pod: ${scheduled.message}`, isFinal: false };
  return null;
}
