/** What a fault is. */
import type { Cluster } from './cluster.ts';
import type { Random } from './random.ts';

/** How long most of them last. */
export const SHORT_MS = [3_000, 8_000] as const;

export interface FaultContext {
  readonly cluster: Cluster;
  readonly random: Random;
  /** Aborts when the time of faults is over. */
  readonly signal: AbortSignal;
  /** Waits, or less when the time of faults is over. */
  hold(milliseconds: number): Promise<void>;
}

export interface Fault {
  readonly name: string;
  readonly weight: number;
  /** What it needs for itself: two faults never have the same at a time. */
  readonly target: (context: FaultContext) => string;
  /** The target is what the one above gave. Resolves with false when there was nothing to break. */
  readonly run: (context: FaultContext, target: string) => Promise<unknown>;
  /** False where the machine cannot do it. */
  readonly possible?: (cluster: Cluster) => boolean;
}
