/**
 * The contract of whoever hands out tasks of the types that Slipway's workers run, and hears how they went: Postgres
 * (`postgres-task-coordinator.ts`), or a server that has it (`src/remote/api-task-coordinator.ts`). One serves one worker.
 */
import type { Project } from '../projects/project.ts';
import type { OpenedTaskSecrets, TaskToRun } from '../task-runs/task-run.ts';

/** A claim. Whoever names one that has ended changes nothing, and is told nothing: SupersededError. */
export interface TaskLease {
  /** Of the task. */
  readonly id: string;
  readonly leaseToken: string;
}

export interface LeasedTask extends TaskToRun, TaskLease {
  /** How long a claim and a heartbeat hold. */
  readonly leaseSeconds: number;
}

export interface ClaimTasks {
  readonly labels: readonly string[];
  readonly max: number;
  /** What the worker has already. What it was given besides these, and never heard of, waits again. */
  readonly held: readonly TaskLease[];
}

export interface FailedTask {
  readonly reason: string;
  readonly retryable: boolean;
  readonly result: unknown;
}

export interface TaskCoordinator {
  /** Up to `max` tasks that ask for no other labels, and are now the worker's; none when nothing is ready. */
  claim(claim: ClaimTasks): Promise<readonly LeasedTask[]>;
  /** `letGo`: somebody wants it cancelled, or has evicted the worker. */
  heartbeat(lease: TaskLease): Promise<{ readonly letGo: boolean }>;
  /** The last words: each may be said again when nobody knows whether it was heard. */
  complete(lease: TaskLease, result: unknown): Promise<void>;
  fail(lease: TaskLease, failure: FailedTask): Promise<void>;
  /** Gives it back; where somebody has asked to cancel it, this ends it. */
  release(lease: TaskLease): Promise<void>;
  /** Null: it is gone. A server that does not answer is waited for, until `signal` aborts. */
  project(lease: TaskLease, signal: AbortSignal): Promise<Project | null>;
  secrets(lease: TaskLease, signal: AbortSignal): Promise<OpenedTaskSecrets>;
  /** Hints, which may be lost: there may be a task to claim; something has happened to this one. */
  onWork(wake: () => void): () => void;
  onTold(lease: TaskLease, wake: () => void): () => void;
}
