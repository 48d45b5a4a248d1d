/** One request of a remote worker, and who answers which. */
import type { Viewer } from '../auth/viewer.ts';
import type { Answers, RequestName, RequestOf } from '../remote/protocol.ts';

export interface WorkerCall {
  readonly viewer: Viewer;
  readonly workerId: string;
  /** Aborts when the caller is gone. */
  readonly gone: AbortSignal;
}

export type Handlers = {
  readonly [R in RequestName]: (call: WorkerCall, request: RequestOf<R>) => Promise<Answers[R]>;
};
