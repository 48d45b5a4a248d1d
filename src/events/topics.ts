/** What a process can be woken for. A topic says that there may be something new, and never what. */
export type Topic =
  | `events:${string}`
  | `log:${string}`
  | `project:${string}`
  | `worker:${string}`
  | 'projects'
  | 'queue'
  | 'deliveries';

export const eventsTopic = (buildId: string): Topic => `events:${buildId}`;
export const logTopic = (buildId: string): Topic => `log:${buildId}`;
export const projectTopic = (projectId: string): Topic => `project:${projectId}`;
/** Any project's topic: nobody announces it by itself. */
export const PROJECTS_TOPIC: Topic = 'projects';
/** Whoever runs this build is to look at it: somebody wants it cancelled, or has told it something. */
export const workerTopic = (buildId: string): Topic => `worker:${buildId}`;
export const QUEUE_TOPIC: Topic = 'queue';
export const DELIVERIES_TOPIC: Topic = 'deliveries';
