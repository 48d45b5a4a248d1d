/** The fields of tasks: a part of ACCESS_CASES. */
import type { AccessCase } from './access-cases.ts';
import type { World } from './access-world.ts';

const readTasks = { needs: ['tasks:read'], reach: 'project' } as const;
const changeTasks = { needs: ['tasks:write'], reach: 'project' } as const;
const work = { needs: ['work'], reach: 'project' } as const;

const mutation = (call: string) => `mutation { result: ${call} { __typename ... on UserError { code message } } }`;
const LEASE = 'leaseToken: "00000000-0000-4000-8000-000000000000"';

export const TASK_CASES: readonly AccessCase[] = [
  {
    field: 'query task',
    ...readTasks,
    source: ({ ours }) =>
      `{ task(id: "${ours.task}") { id payload project { id } callbacks { id } events { nodes { cursor } } } }`,
  },
  {
    field: 'query task',
    needs: ['tasks:read', 'builds:read'],
    reach: 'project',
    source: ({ ours }) =>
      `{ builds { nodes { id } } task(id: "${ours.finished.replace('build', 'task')}") { id payload build { id } } }`,
  },
  { field: 'query tasks', ...readTasks, source: () => '{ tasks { nodes { id labels { value } payload result } } }' },
  {
    field: 'query tasks',
    ...readTasks,
    source: ({ ours }) => `{ tasks(filter: { projectId: "${ours.project}" }) { nodes { id type } } }`,
  },
  {
    field: 'query taskStats',
    ...readTasks,
    source: () => '{ taskStats { waiting delayed running dead oldestReadyAt } }',
  },
  { field: 'query taskTypes', ...readTasks, reach: 'everyone', source: () => '{ taskTypes { name } }' },
  {
    field: 'mutation enqueueTask',
    ...changeTasks,
    source: ({ ours }) => mutation(`enqueueTask(input: { projectId: "${ours.project}", type: "", payload: 1 })`),
  },
  {
    field: 'mutation cancelTask',
    ...changeTasks,
    source: ({ ours }) => mutation(`cancelTask(input: { id: "${ours.task}" })`),
  },
  {
    field: 'mutation requeueTask',
    ...changeTasks,
    source: ({ ours }) => mutation(`requeueTask(input: { id: "${ours.task}" })`),
  },
  {
    field: 'mutation redeliverTaskCallback',
    ...changeTasks,
    source: ({ ours }) => mutation(`redeliverTaskCallback(input: { taskId: "${ours.task}" })`),
  },
  {
    field: 'mutation setTaskType',
    ...changeTasks,
    source: ({ ours }) => mutation(`setTaskType(input: { projectId: "${ours.project}", name: "", schema: 1 })`),
  },
  {
    field: 'mutation setTaskType',
    needs: ['tasks:write'],
    reach: 'unlimited',
    source: () => mutation('setTaskType(input: { name: "", schema: 1 })'),
  },
  {
    field: 'mutation deleteTaskType',
    ...changeTasks,
    // Nothing is deleted: it answers that there is no such type, to who may know it.
    source: ({ ours }) => mutation(`deleteTaskType(input: { projectId: "${ours.project}", name: "" })`),
  },
  {
    field: 'mutation claimTask',
    ...work,
    reach: 'everyone',
    source: () => mutation('claimTask(input: { workerName: "w", types: ["none"] })'),
  },
  ...['heartbeatTask', 'completeTask', 'failTask', 'releaseTask'].map((name) => ({
    field: `mutation ${name}`,
    ...work,
    source: ({ ours }: World) =>
      mutation(`${name}(input: { taskId: "${ours.task}", ${LEASE}${name === 'failTask' ? ', reason: "x"' : ''} })`),
  })),
  {
    field: 'subscription taskProgress',
    ...readTasks,
    source: ({ ours }) => `subscription { taskProgress(taskId: "${ours.task}") { cursor type } }`,
  },
  {
    field: 'subscription taskAvailable',
    ...work,
    source: ({ ours }) => `subscription { taskAvailable(types: ["${ours.taskType}"]) { types } }`,
  },
];
