/** Following tasks: stored first, then live. Each stops at once when its consumer does. */
import { InvalidInputError } from '../src/errors.ts';
import { followTask } from '../src/tasks/follow-task.ts';
import { type TaskHint, watchTasks } from '../src/tasks/watch-tasks.ts';
import { builder } from './builder.ts';
import { checkText } from './check-text.ts';
import { requireTask } from './ids.ts';
import { NUMBER_CURSOR, readCursor } from './pagination.ts';
import { TaskEventRef } from './task.ts';

const MAX_TYPES = 50;
const MAX_LABELS = 64;

const TaskAvailableRef = builder.objectRef<TaskHint>('TaskAvailable').implement({
  description: 'There may be something to claim: a hint, no promise.',
  fields: (t) => ({
    types: t.stringList({
      description: 'Of which types; none when there is nothing at the beginning.',
      resolve: ({ types }) => [...types],
    }),
  }),
});

builder.subscriptionFields((t) => ({
  taskProgress: t.field({
    type: TaskEventRef,
    description:
      'Every event of a task, once and in order; ends when the task has ended. Of a task that was requeued it goes on. A ' +
      'stream that ends without FINISHED was cut: subscribe again after the last cursor.',
    authScopes: { scope: 'tasks:read' },
    args: {
      taskId: t.arg.id({ required: true, description: 'The task.' }),
      after: t.arg.string({ description: 'The cursor of the last event that is known; absent for all of them.' }),
    },
    subscribe: async (_root, { taskId, after }, context) => {
      const cursor = readCursor(after, NUMBER_CURSOR, 'after') ?? 0;
      const task = await requireTask(context, taskId);
      return followTask(context.orchestrator, { task, after: cursor });
    },
    resolve: (event) => event,
  }),
  taskAvailable: t.field({
    type: TaskAvailableRef,
    description: 'Says at once, and whenever there may be more, what there may be to claim. It does not end by itself.',
    authScopes: { scope: 'work' },
    args: {
      types: t.arg.stringList({ required: true, description: 'Tasks of these types: at most 50.' }),
      labels: t.arg.stringList({ description: 'What the worker has: at most 64.' }),
    },
    subscribe: (_root, { types, labels }, { orchestrator, viewer }) => {
      for (const text of [...types, ...(labels ?? [])]) checkText(text, ['types']);
      if (types.length > MAX_TYPES || (labels?.length ?? 0) > MAX_LABELS) {
        const message = `must be at most ${MAX_TYPES} types and ${MAX_LABELS} labels`;
        throw new InvalidInputError([{ path: ['types'], message }]);
      }
      return watchTasks(orchestrator, { types, labels: labels ?? [], projectIds: viewer.projectIds });
    },
    resolve: (hint) => hint,
  }),
}));
