/** Following: stored first, then live. Each stops at once when its consumer does. */

import { type Build, isFinished } from '../src/builds/build.ts';
import { followLog, MAX_BATCH_LINES } from '../src/builds/follow-log.ts';
import type { Database } from '../src/database/database.ts';
import { InvalidInputError } from '../src/errors.ts';
import { BUILD_EVENT_TYPES, type BuildEvent, MILESTONES, TERMINAL_EVENT } from '../src/events/event.ts';
import { follow } from '../src/events/follow.ts';
import { followProject } from '../src/events/follow-project.ts';
import { readEvents } from '../src/events/read-events.ts';
import type { ProjectActivity } from '../src/events/read-project-activity.ts';
import { eventsTopic } from '../src/events/topics.ts';
import { EVENT_PAGE } from '../src/orchestrator.ts';
import type { FeedIterator } from '../src/std/feed.ts';
import { LogBatchRef } from './build-log.ts';
import { builder } from './builder.ts';
import type { Context } from './context.ts';
import { requireBuild, requireProject } from './ids.ts';
import { NUMBER_CURSOR, readCursor } from './pagination.ts';
import { BuildEventRef } from './refs.ts';
import { BuildEventTypeEnum } from './vocabulary.ts';

const ProjectActivityEventRef = builder.objectRef<ProjectActivity>('ProjectActivityEvent').implement({
  description: "A milestone of one of a project's builds.",
  fields: (t) => ({
    cursor: t.string({
      description: 'For `after` of projectActivity. It counts per project; `event.cursor` counts per build.',
      resolve: ({ seq }) => String(seq),
    }),
    event: t.field({ type: BuildEventRef, description: 'What happened.', resolve: ({ event }) => event }),
  }),
});

builder.subscriptionFields((t) => ({
  buildProgress: t.field({
    type: BuildEventRef,
    description:
      'Every event of a build, once and in order; ends after BuildFinished. A stream that ends without it was cut: ' +
      'subscribe again after the last cursor.',
    authScopes: { scope: 'builds:read' },
    args: {
      buildId: t.arg.id({ required: true, description: 'The build.' }),
      after: t.arg.string({ description: 'The cursor of the last event that is known; absent for all of them.' }),
    },
    subscribe: (_root, args, context) => followBuild(context, args),
    resolve: (event) => event,
  }),
  buildLog: t.field({
    type: LogBatchRef,
    description: `The log of a build in batches of at most ${MAX_BATCH_LINES} lines; ends after the finished batch.`,
    authScopes: { scope: 'builds:read' },
    args: {
      buildId: t.arg.id({ required: true, description: 'The build.' }),
      after: t.arg.string({ description: 'The cursor of the last batch that is known; absent for all of it.' }),
    },
    subscribe: async (_root, { buildId, after }, context) => {
      const cursor = readAfter(after);
      const build = await requireBuild(context, buildId);
      return followLog(context.orchestrator, { buildId: build.id, after: cursor });
    },
    resolve: (batch) => batch,
  }),
  projectActivity: t.field({
    type: ProjectActivityEventRef,
    description: "The milestones of all of a project's builds, once and in order. It does not end by itself.",
    authScopes: { scope: 'builds:read' },
    args: {
      projectId: t.arg.id({ required: true, description: 'The project.' }),
      after: t.arg.string({ description: 'The cursor of the last one that is known; absent for all of them.' }),
      types: t.arg({ type: [BuildEventTypeEnum], description: 'Only these kinds, which must be milestones.' }),
    },
    subscribe: async (_root, { projectId, after, types }, context) => {
      const cursor = readAfter(after);
      const detail = types?.find((type) => !MILESTONES[type]);
      if (detail) {
        const milestones = BUILD_EVENT_TYPES.filter((type) => MILESTONES[type]).join(', ');
        const message = `${detail} is no milestone. Milestones are ${milestones}.`;
        throw new InvalidInputError([{ path: ['types'], message }]);
      }
      const project = await requireProject(context, projectId);
      return followProject(context.orchestrator, { projectId: project.id, after: cursor, types: types ?? null });
    },
    resolve: (activity) => activity,
  }),
}));

async function followBuild(
  context: Context,
  { buildId, after }: { buildId: string; after?: string | null | undefined },
): Promise<FeedIterator<BuildEvent>> {
  const cursor = readAfter(after);
  const build = await requireBuild(context, buildId);
  const { db, hub, readEventPage } = context.orchestrator;
  const topic = eventsTopic(build.id);
  const events = follow<BuildEvent>({
    hub,
    topic,
    share: topic,
    page: EVENT_PAGE,
    load: (seq) => readEventPage(build.id, seq),
    rowsOf: (carried) => carried,
    cursorOf: (event) => event.seq,
    isLast: (event) => event.type === TERMINAL_EVENT,
    after: cursor,
  });
  // Whoever has the last event of a finished build is told so, instead of waiting for ever; and so is whoever asks for
  // events that are kept no longer. Those of a build go together.
  if (isFinished(build.status) && !(await isLastKept(db, build, cursor))) events.close();
  return events;
}

/** Is there a last event behind the cursor? */
async function isLastKept(
  db: Database,
  { id, lastSeq }: Pick<Build, 'id' | 'lastSeq'>,
  cursor: number,
): Promise<boolean> {
  if (cursor >= lastSeq) return false;
  return (await readEvents(db, { buildId: id, after: lastSeq - 1, limit: 1 })).length > 0;
}

function readAfter(after: string | null | undefined): number {
  return readCursor(after, NUMBER_CURSOR, 'after') ?? 0;
}
