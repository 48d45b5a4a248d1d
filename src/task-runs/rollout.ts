/** What the status of an object says about its roll-out, as `kubectl rollout status` reads it. */

export type RolloutState =
  | { readonly state: 'ready' }
  | { readonly state: 'waiting'; readonly message: string }
  | { readonly state: 'failed'; readonly message: string };

interface ObjectJson {
  readonly metadata?: { readonly generation?: number };
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly status?: Readonly<Record<string, unknown>>;
}

interface Condition {
  readonly type?: string;
  readonly status?: string;
  readonly reason?: string;
  readonly message?: string;
}

type Judge = (object: ObjectJson) => RolloutState;

const READY: RolloutState = { state: 'ready' };

const JUDGES: Readonly<Record<string, Judge>> = {
  'apps/Deployment': judgeDeployment,
  'apps/StatefulSet': judgeStatefulSet,
  'apps/DaemonSet': judgeDaemonSet,
  'batch/Job': judgeJob,
};

/** Null: there is nothing to wait for. */
export function judgeOf({ apiVersion, kind }: { readonly apiVersion: string; readonly kind: string }): Judge | null {
  const group = apiVersion.includes('/') ? apiVersion.split('/')[0] : '';
  return JUDGES[`${group}/${kind}`] ?? null;
}

function judgeDeployment(object: ObjectJson): RolloutState {
  if (isUnseen(object)) return waiting('it has not been looked at yet');
  const progressing = conditionOf(object, 'Progressing');
  if (progressing?.reason === 'ProgressDeadlineExceeded') return failed(progressing.message ?? 'it makes no progress');
  const wanted = number(object.spec?.replicas, 1);
  const updated = number(object.status?.updatedReplicas);
  if (updated < wanted) return waiting(`${updated} of ${wanted} replicas are updated`);
  const all = number(object.status?.replicas);
  if (all > updated) return waiting(`${all - updated} old replicas are ending`);
  const available = number(object.status?.availableReplicas);
  return available < updated ? waiting(`${available} of ${updated} replicas are available`) : READY;
}

function judgeStatefulSet(object: ObjectJson): RolloutState {
  if (isUnseen(object)) return waiting('it has not been looked at yet');
  const strategy = object.spec?.updateStrategy as { type?: string; rollingUpdate?: { partition?: number } } | undefined;
  const wanted = number(object.spec?.replicas, 1);
  const ready = number(object.status?.readyReplicas);
  if (ready < wanted) return waiting(`${ready} of ${wanted} replicas are ready`);
  if (strategy?.type === 'OnDelete') return READY;
  const due = wanted - number(strategy?.rollingUpdate?.partition);
  const updated = number(object.status?.updatedReplicas);
  const isCurrent = object.status?.updateRevision === object.status?.currentRevision;
  return updated < due && !isCurrent ? waiting(`${updated} of ${due} replicas are updated`) : READY;
}

function judgeDaemonSet(object: ObjectJson): RolloutState {
  if (isUnseen(object)) return waiting('it has not been looked at yet');
  const wanted = number(object.status?.desiredNumberScheduled);
  const updated = number(object.status?.updatedNumberScheduled);
  const strategy = object.spec?.updateStrategy as { type?: string } | undefined;
  if (updated < wanted && strategy?.type !== 'OnDelete') return waiting(`${updated} of ${wanted} pods are updated`);
  const available = number(object.status?.numberAvailable);
  return available < wanted ? waiting(`${available} of ${wanted} pods are available`) : READY;
}

function judgeJob(object: ObjectJson): RolloutState {
  const bad = conditionOf(object, 'Failed');
  if (bad?.status === 'True') return failed(bad.message ?? 'it has failed');
  if (conditionOf(object, 'Complete')?.status === 'True') return READY;
  const done = number(object.status?.succeeded);
  return waiting(`${done} of ${number(object.spec?.completions, 1)} completions`);
}

/** Its status may still speak of what it was before. */
function isUnseen({ metadata, status }: ObjectJson): boolean {
  return number(status?.observedGeneration) < number(metadata?.generation);
}

function conditionOf({ status }: ObjectJson, type: string): Condition | undefined {
  const conditions = Array.isArray(status?.conditions) ? (status.conditions as Condition[]) : [];
  return conditions.find((condition) => condition?.type === type);
}

function number(value: unknown, otherwise = 0): number {
  return typeof value === 'number' ? value : otherwise;
}

function waiting(message: string): RolloutState {
  return { state: 'waiting', message };
}

function failed(message: string): RolloutState {
  return { state: 'failed', message };
}
