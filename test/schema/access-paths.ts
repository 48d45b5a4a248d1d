/** Fields that lead from one thing with an id to another. */
import type { World } from './access-world.ts';

type Path = 'same project' | ((world: World) => string);

/**
 * Every field that leads to something with an id: either what it leads to always belongs to the project that it comes
 * from, or an operation that begins at what everybody sees and would lead to what is ours.
 */
export const PATHS: Readonly<Record<string, Path>> = {
  // Workers belong to no project; what they run is a case of its own.
  'AgentOnWorker.worker': 'same project',
  'ProjectQueueFigures.project': () => '{ queueStats { byProject(first: 100) { project { id } } } }',
  'AuditEntry.project': () => '{ auditLog { nodes { project { id } } } }',
  'Build.artifacts': 'same project',
  'Build.callbacks': 'same project',
  'Build.messages': 'same project',
  'Build.project': 'same project',
  'Build.questions': 'same project',
  'Build.retries': 'same project',
  'Build.retryOf': 'same project',
  'Build.schedule': 'same project',
  'Build.supersededBy': 'same project',
  'Build.supersedes': 'same project',
  // Workers belong to no project.
  'Build.worker': 'same project',
  'BuildEvent.build': 'same project',
  'BuildMessage.build': 'same project',
  'BuildQuestion.build': 'same project',
  'CallbackDelivery.build': 'same project',
  'CallbackDelivery.task': 'same project',
  'Credential.project': 'same project',
  'IdempotencyConflictError.existing': ({ ours }) =>
    `mutation { startBuild(input: { projectId: "${ours.project}", idempotencyKey: "finished", spec: { prompt: "other" } }) {
      ... on IdempotencyConflictError { existing { id } } } }`,
  'IdempotencyConflictError.existingTask': ({ ours }) =>
    `mutation { enqueueTask(input: { projectId: "${ours.project}", idempotencyKey: "task", type: "${ours.taskType}", payload: 2 }) {
      ... on IdempotencyConflictError { existingTask { project { id } } } } }`,
  'Project.builds': 'same project',
  'Task.build': 'same project',
  'Task.callbacks': 'same project',
  'Task.project': 'same project',
  'TaskClaim.task': 'same project',
  'TaskType.project': () => '{ taskTypes { project { id } } }',
  'Project.schedules': 'same project',
  'Schedule.builds': 'same project',
  'Schedule.lastBuild': 'same project',
  'Schedule.project': 'same project',
  'Viewer.projects': () => '{ viewer { projects { id } } }',
  'WorkerAttempt.build': ({ worker }) =>
    `{ worker(id: "${worker}") { history { nodes { build { id project { id } } } } } }`,
  'Worker.currentBuilds': () => '{ workers { nodes { currentBuilds { nodes { id project { id } } } } } }',
};
