/** What is promised, one line of the verdict each. */
export const PROMISES = {
  lost: 'accepted builds exist, one per idempotency key',
  stuck: 'every build ends, and none waits without reason',
  ended: 'one end per build, and it is the last event',
  commits: 'at most one commit per build on its remote, intended, and there when the build says so',
  talk: 'what people tell a build that completes was delivered once, and no question outlives its build',
  fence: 'nothing is written by a superseded attempt',
  events: 'events are 1..N for every reader',
  tasks: 'accepted tasks exist, one per key, and end once, as the holder of the lease was told; no other lease writes',
  callbacks: 'every finished build and task is reported, under one id, signed',
  limits: 'no claim exceeds a limit of all, a project, a key or a credential, or passes a pause',
  queue: 'the counters of the queue are right, and in it is what waits or runs, and nothing else',
  starved: 'what could start is passed over no more often than fair shares allow',
  schedules: 'each due time has one build or a record of why not, as the catch-up rule says',
  processes: 'no process outlives its build or task',
  cancelled: 'an acknowledged cancel lets no commit through',
  secrets: 'planted secrets are in no stored byte',
  alive: 'servers and workers stay up, and the API fails only for a reason it can name',
} as const;

export type PromiseName = keyof typeof PROMISES;

export interface Violation {
  readonly promise: PromiseName;
  /** UUID. */
  readonly buildId?: string;
  /** UUID. */
  readonly taskId?: string;
  readonly detail: string;
}
