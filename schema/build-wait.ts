/** Why a build or task waits, and for how long a build will. */
import type { BuildSummary } from '../src/builds/build.ts';
import { estimateStart } from '../src/stats/start-estimates.ts';
import { couldStart, explainWait, type Wait, type WaitReason } from '../src/stats/wait-reasons.ts';
import type { Task } from '../src/tasks/task.ts';
import { builder } from './builder.ts';
import { POSITION_COMPLEXITY } from './limits.ts';
import type { Loaders } from './loaders.ts';
import { BuildRef, TaskRef } from './refs.ts';
import { values } from './vocabulary.ts';

export const WaitingReasonCodeEnum = builder.enumType('WaitingReasonCode', {
  description: 'Why a build or task waits. Where several hold, it is the first of them in this order.',
  values: values<WaitReason>({
    PAUSED: 'Everything is paused.',
    PROJECT_PAUSED: 'Its project is paused.',
    RUN_AFTER: 'Its time (runAfter, or the pause after a failure) has not come.',
    QUOTA: "The key of its agent is at its provider's rate limit.",
    NO_WORKER: 'No worker that takes such work has all the labels that it needs, and reaches its repository.',
    LIMIT: 'As much runs as may in all.',
    PROJECT_LIMIT: 'As much of its project runs as may.',
    KEY_LIMIT: 'As much with its concurrency key runs as may.',
    CREDENTIAL_LIMIT: 'As many builds run as may with the credential that its agent would use.',
    NO_FREE_SLOT: 'The workers that can run it are full.',
    NEXT: 'Nothing holds it back: it starts when its turn comes, or when somebody claims it.',
  }),
});

const WaitingReasonRef = builder.objectRef<Wait>('BuildWaitingReason').implement({
  description: 'Why a build or task waits.',
  fields: (t) => ({
    code: t.field({ type: WaitingReasonCodeEnum, description: 'For programs.', resolve: ({ code }) => code }),
    message: t.string({
      description: 'For people: what it waits for, with labels, times and limits.',
      resolve: explainWait,
    }),
  }),
});

builder.objectFields(BuildRef, (t) => ({
  waitingReason: t.field({
    type: WaitingReasonRef,
    nullable: true,
    description: 'Why it waits; null unless it is PENDING.',
    resolve: (build, _args, { loaders }) => waitOf(loaders, build),
  }),
  queuePosition: t.int({
    nullable: true,
    description:
      'How many builds are given out before it, and one: 1 is next. Null unless it waits and could start, as far as pauses, ' +
      'its time and the labels of workers say. An estimate from counters: exact while nothing comes or goes, all projects ' +
      'weigh the same and no limit holds anything back; with weights off by less than one for each other project; beyond ' +
      'the first thousand of a project interpolated. Limits of others are not counted, so that it may be sooner.',
    complexity: POSITION_COMPLEXITY,
    resolve: async (build, _args, { loaders }) => positionOf(loaders, await waitOf(loaders, build)),
  }),
  estimatedStartAt: t.field({
    type: 'DateTime',
    nullable: true,
    description:
      'When it can be expected to start: from its position, the places of the workers that can run it, and how long the ' +
      'last builds of its project took, else those of all. Of one whose time has not come it is that time. Null when ' +
      'nobody can say.',
    complexity: POSITION_COMPLEXITY,
    resolve: async (build, _args, { loaders }) => {
      const wait = await waitOf(loaders, build);
      if (!wait) return null;
      const [position, durationMs] = await Promise.all([
        positionOf(loaders, wait),
        loaders.usualDuration.load(wait.projectId),
      ]);
      return estimateStart(wait, { position, durationMs });
    },
  }),
}));

builder.objectFields(TaskRef, (t) => ({
  waitingReason: t.field({
    type: WaitingReasonRef,
    nullable: true,
    description:
      'Why it waits; null unless it is PENDING. Which programs take tasks of a type of your own nobody knows: only of ' +
      '`build`, `test` and `deploy` it is told that no worker can.',
    resolve: (task, _args, { loaders }) => waitOf(loaders, task),
  }),
}));

async function waitOf(
  { wait }: Loaders,
  { id, status }: Pick<BuildSummary | Task, 'id' | 'status'>,
): Promise<Wait | null> {
  return status === 'PENDING' ? wait.load(id) : null;
}

async function positionOf({ queuePosition }: Loaders, wait: Wait | null): Promise<number | null> {
  return wait && couldStart(wait) ? queuePosition.load(wait.id) : null;
}
