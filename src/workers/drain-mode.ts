/**
 * What a drain does with builds that do not end in time. `put back`: their processes are ended, and they are back in the
 * queue at once. `leave`: their agents go on, and a worker that starts on this machine soon re-attaches to them.
 */
export type DrainMode = 'put back' | 'leave';
