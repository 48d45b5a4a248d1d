/** Where the time of a build goes: the moments of its life, from its events and from what the cluster tells of its pod. */
import { randomUUID } from 'node:crypto';
import { startBuild } from '../../src/builds/start-build.ts';
import { formatTable } from '../../src/cli/format.ts';
import { readEvents } from '../../src/events/read-events.ts';
import { buildPodName } from '../../src/runtimes/kubernetes/pod-layout.ts';
import { isRunning } from '../../src/runtimes/kubernetes/pod-loss.ts';
import type { PodView } from '../../src/runtimes/kubernetes/pod-view.ts';
import type { PodWatch } from '../../src/runtimes/kubernetes/pod-watch.ts';
import type { TestStack } from '../support/orchestrator.ts';
import { waitFor } from '../support/wait-for.ts';

/** In the order of a build in a new pod, each with what leads to it. Other builds lack some. */
const MOMENTS = {
  asked: '',
  claimed: 'claim',
  made: 'pod asked for',
  scheduled: 'scheduled',
  prepared: 'tools copied',
  running: 'containers started',
  agent: 'checkout',
  word: 'first word of the agent',
  verifying: 'end of the agent',
  publishing: 'commit',
  pushed: 'push',
  finished: 'end told',
  gone: 'pod deleted',
} as const;

type Moment = keyof typeof MOMENTS;
const ORDER = Object.keys(MOMENTS) as Moment[];

/** Milliseconds since the epoch. */
export type BuildTimes = Readonly<Partial<Record<Moment, number>>>;

export interface Bench {
  readonly stack: TestStack;
  readonly projectId: string;
  /** Of the namespace; null where builds are in no pods. */
  readonly watch: PodWatch | null;
  /** Waits for what the next build is to find. */
  ready(): Promise<void>;
}

export interface TimedTask {
  readonly prompt: string;
  readonly deadlineMs: number;
  readonly branch?: string;
}

/** The first build of a project: on `main`, which the others begin with. Its times do not count. */
export async function fillRepository(bench: Bench, task: TimedTask): Promise<void> {
  await timeBuild(bench, { ...task, branch: 'main' });
}

/** Starts a build on a branch of its own and follows it until its pod is gone. Rejects when it does not complete. */
export async function timeBuild({ stack, projectId, watch }: Bench, task: TimedTask): Promise<BuildTimes> {
  const { prompt, deadlineMs, branch = `times/${randomUUID()}` } = task;
  const { db } = stack.orchestrator;
  const times: Partial<Record<Moment, number>> = { asked: Date.now() };
  const { build } = await startBuild(stack.orchestrator, { projectId, spec: { prompt, branch } }, 'times');
  const follow = (pod: PodView | undefined) => {
    for (const moment of podMoments(pod, times)) times[moment] ??= Date.now();
  };
  const stop = watch?.onChange(buildPodName(build.id), follow);
  const { status, failure } = await stack.finished(build.id, deadlineMs);
  if (status !== 'COMPLETED') throw new Error(`The build ended as ${status}: ${failure?.message}`);
  const isOver = () => times.made === undefined || times.gone !== undefined;
  await waitFor(isOver, { deadlineMs, what: 'the end of the pod' });
  stop?.();
  for (const event of await readEvents(db, { buildId: build.id, after: 0, limit: 200 })) {
    const { type } = event;
    const phase = type === 'PHASE_CHANGED' ? event.data.to : null;
    const moment =
      (type === 'STARTED' && 'claimed') ||
      (phase === 'AGENT' && 'agent') ||
      (type === 'AGENT_ACTIVITY' && 'word') ||
      (phase === 'VERIFYING' && 'verifying') ||
      (phase === 'PUBLISHING' && 'publishing') ||
      (type === 'GIT_PUSHED' && 'pushed') ||
      (type === 'FINISHED' && 'finished');
    if (moment) times[moment] ??= event.at.getTime();
  }
  return times;
}

/** Those that have come. */
function podMoments(pod: PodView | undefined, { made }: BuildTimes): Moment[] {
  if (pod === undefined) return made === undefined ? [] : ['gone'];
  const moments: Moment[] = ['made'];
  if (pod.conditions.some(({ type, status }) => type === 'PodScheduled' && status === 'True'))
    moments.push('scheduled');
  if (pod.initContainers.length > 0 && pod.initContainers.every(({ exitCode }) => exitCode === 0)) {
    moments.push('prepared');
  }
  if (isRunning(pod)) moments.push('running');
  return moments;
}

/** From one moment to another, in milliseconds; NaN where a build lacks one of them. */
export function between(times: BuildTimes, from: Moment, to: Moment): number {
  return (times[to] ?? Number.NaN) - (times[from] ?? Number.NaN);
}

export function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[values.length >> 1] ?? Number.NaN;
}

/** A column for each kind of build, a row for each step: the median of its milliseconds. */
export function formatSteps(kinds: ReadonlyMap<string, readonly BuildTimes[]>): string {
  const rows = ORDER.slice(1).map((moment) => [
    MOMENTS[moment],
    ...[...kinds.values()].map((all) => {
      const steps = all.map((times) => between(times, before(times, moment), moment));
      return Number.isNaN(median(steps)) ? '' : `${Math.round(median(steps))}`;
    }),
  ]);
  return formatTable([['MS, MEDIAN', ...kinds.keys()], ...rows]);
}

/** The last one before that this build has. */
function before(times: BuildTimes, moment: Moment): Moment {
  return ORDER.slice(0, ORDER.indexOf(moment)).findLast((one) => times[one] !== undefined) ?? 'asked';
}
