/**
 * What a figure is: one workload, done by Slipway, by its peers and by the limit of the machine, all in one process tree and
 * in turns. A file of `bench/figures` exports `figures`; nothing else has to know of it.
 */
import type { Bench } from './bench.ts';

export interface Figure {
  /** In lower-case words with hyphens: `--only` takes it, or the beginning of it. */
  readonly name: string;
  /** One line for the table. */
  readonly title: string;
  readonly cases: readonly Case[];
  readonly goals: readonly Goal[];
  /** Not in the quick run. */
  readonly isLong?: boolean;
  /** In the quick run it has one repetition: what it measures hardly changes from one to the next, and takes long. */
  readonly isSteady?: boolean;
  /** How its cost is to be looked at as something grows. `npm run bench -- --growth` opens our cases at each size. */
  readonly growth?: Growth;
}

export interface Growth {
  /** Of what there is more: `stored builds`. */
  readonly axis: string;
  /** 1x, 10x and 100x. A case finds the one that it is to open at in `bench.size`. */
  readonly sizes: readonly [number, number, number];
  /** What of our cases is compared; `rate` or a time, as in a goal. */
  readonly metric: Metric;
  /** Cases by their names; those of ours if absent. */
  readonly cases?: readonly string[];
}

/** `limit`: what the machine can do at all. `peer`: how others do it, or how everybody would write it. */
export type Role = 'ours' | 'peer' | 'limit';

export interface Case {
  /** Unique within the figure. */
  readonly name: string;
  readonly role: Role;
  /** Prepares everything that is not measured: databases, rows, servers, connections. */
  open(bench: Bench): Promise<Rig>;
}

export interface Rig extends AsyncDisposable {
  /** Each turn is of a process of its own: there is nothing to warm up. */
  readonly isFresh?: boolean;
  /** Works for about `seconds`; called for each repetition, and before them to warm up. */
  run(turn: Turn): Promise<Sample>;
}

export interface Turn {
  readonly seconds: number;
  /** 0 in each turn of the warm-up, which is proved and not counted. */
  readonly repetition: number;
}

export interface Sample {
  /** What was acknowledged. */
  readonly operations: number;
  /** From the first to the last of them. */
  readonly seconds: number;
  /** Of each operation, or of a part of them; empty when a time of one makes no sense. */
  readonly latenciesMs: readonly number[];
  /** Other measures of this repetition, for goals and table: `{ mebibytes: 12 }`. */
  readonly values?: Readonly<Record<string, number>>;
  /** That the work was done; called after the clocks have stopped. Without any, the case has not proved its work. */
  proof(): Promise<readonly Proof[]>;
}

/** What must be equal, of this repetition alone: rows and acknowledgements. */
export interface Proof {
  readonly what: string;
  readonly expected: number | string;
  readonly found: number | string;
}

/** `rate`: operations per second. `p50`, `p99`: ms. `cpu`: µs per operation of all processes. Others: a sample's values. */
export type Metric = 'rate' | 'p50' | 'p99' | 'cpu' | (string & {});

/** A ratio of the medians of two cases; of an absolute goal the median itself. */
export interface Goal {
  readonly metric: Metric;
  /** The case that is judged. */
  readonly of: string;
  /** The case that it is divided by; null: the metric is judged as it is. */
  readonly against: string | null;
  /** The metric of `against`, if it is another one: a p50 against that of one commit. */
  readonly againstMetric?: Metric;
  readonly atLeast?: number;
  readonly atMost?: number;
  /**
   * What is reached on the machine of bench/README.md where the goal is not: the report says that it is missed, and the
   * bench fails when less than this is left.
   */
  readonly reached?: number;
}
