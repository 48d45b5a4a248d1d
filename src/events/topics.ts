/** What a process can be woken for. A topic says that there may be something new, and never what. */
export type Topic =
  | `events:${string}`
  | `log:${string}`
  | `project:${string}`
  | `worker:${string}`
  | 'projects'
  | `orders:${string}`
  | `work:${string}`
  | `task:${string}`
  | 'builds'
  | 'queue'
  | 'tasks'
  | 'workers'
  | 'deliveries';

export const eventsTopic = (buildId: string): Topic => `events:${buildId}`;
export const logTopic = (buildId: string): Topic => `log:${buildId}`;
export const projectTopic = (projectId: string): Topic => `project:${projectId}`;
/** Any project's topic: nobody announces it by itself. */
export const PROJECTS_TOPIC: Topic = 'projects';
/** Whoever runs this build is to look at it: somebody wants it cancelled, or has told it something. */
export const workerTopic = (buildId: string): Topic => `worker:${buildId}`;
/** A build has come that may be claimed. */
export const BUILDS_TOPIC: Topic = 'builds';
/** What was held back, or had been claimed, may be claimed now: builds and tasks. */
export const QUEUE_TOPIC: Topic = 'queue';
/** Something has happened to this task. */
export const taskTopic = (taskId: string): Topic => `task:${taskId}`;
/** There may be a task to claim. */
export const TASKS_TOPIC: Topic = 'tasks';
export const DELIVERIES_TOPIC: Topic = 'deliveries';
/** This worker is to look at what administrators want of it. */
export const ordersTopic = (workerId: string): Topic => `orders:${workerId}`;
/** There may be a build for this worker: of what it has just been given too little. */
export const workTopic = (workerId: string): Topic => `work:${workerId}`;
/** Something about a worker, or about what it runs, has changed. */
export const WORKERS_TOPIC: Topic = 'workers';
