/** Tasks handed out by a server, to a worker that reaches only its API. */
import type { ClaimTasks, FailedTask, TaskCoordinator, TaskLease } from '../workers/task-coordinator.ts';
import type { ApiHints } from './api-hints.ts';
import type { Connection, RequestOptions } from './connection.ts';
import type { Answers, RequestName, RequestOf } from './protocol.ts';

/** What takes longer is sent anew: each may be said twice. */
const WITHIN_MS = 5_000;

export class ApiTaskCoordinator implements TaskCoordinator {
  readonly #connection: Connection;
  readonly #workerId: string;
  readonly #hints: ApiHints;

  constructor(connection: Connection, workerId: string, hints: ApiHints) {
    this.#connection = connection;
    this.#workerId = workerId;
    this.#hints = hints;
  }

  claim({ labels, max, held }: ClaimTasks) {
    return this.#request('claim-tasks', { labels: [...labels], max, held: held.map(leaseOf) });
  }

  heartbeat(lease: TaskLease) {
    return this.#request('task-heartbeat', { lease: leaseOf(lease) }, { withinMs: WITHIN_MS });
  }

  async complete(lease: TaskLease, result: unknown) {
    await this.#request('task-complete', { lease: leaseOf(lease), result }, { withinMs: WITHIN_MS });
  }

  async fail(lease: TaskLease, failure: FailedTask) {
    await this.#request('task-fail', { lease: leaseOf(lease), ...failure }, { withinMs: WITHIN_MS });
  }

  async release(lease: TaskLease) {
    await this.#request('task-release', { lease: leaseOf(lease) }, { withinMs: WITHIN_MS });
  }

  project(lease: TaskLease, signal: AbortSignal) {
    return this.#untilAnswered('task-project', { lease: leaseOf(lease) }, signal);
  }

  secrets(lease: TaskLease, signal: AbortSignal) {
    return this.#untilAnswered('task-secrets', { lease: leaseOf(lease) }, signal);
  }

  onWork(wake: () => void) {
    return this.#hints.onTasks(wake);
  }

  onTold(lease: TaskLease, wake: () => void) {
    return this.#hints.onTaskTold(lease, wake);
  }

  #untilAnswered<R extends RequestName>(name: R, request: RequestOf<R>, signal: AbortSignal): Promise<Answers[R]> {
    return this.#connection.untilAnswered(() => {
      signal.throwIfAborted();
      return this.#request(name, request, { withinMs: WITHIN_MS, signal });
    });
  }

  #request<R extends RequestName>(name: R, request: RequestOf<R>, options: RequestOptions = {}): Promise<Answers[R]> {
    return this.#connection.post<Answers[R]>(`/workers/${this.#workerId}/${name}`, request, options);
  }
}

function leaseOf({ id, leaseToken }: TaskLease) {
  return { id, leaseToken };
}
