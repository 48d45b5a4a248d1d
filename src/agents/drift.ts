/** Counts what agents say and their adapters do not know, until somebody writes it down. */
import type { AgentEvent } from './agent.ts';
import { cutText } from './cut-text.ts';

/** Of one agent, in the table as in this process. */
export const MAX_DRIFT_NAMES = 100;
const MAX_NAME = 200;
/** Stands for what goes beyond. */
const OTHERS = 'others';

export interface Drift {
  readonly agent: string;
  /** What the agent said of itself; null when it said nothing. */
  readonly version: string | null;
  /** The kind of the line, as the adapter names it. */
  readonly name: string;
  readonly count: number;
}

export class DriftCounter {
  #counts = new Map<string, Map<string, Drift>>();

  add({ agent, version, name, count }: Drift): void {
    const known = this.#counts.get(agent) ?? new Map<string, Drift>();
    this.#counts.set(agent, known);
    const asked = { agent, version: version && cutText(version, MAX_NAME), name: cutText(name, MAX_NAME) };
    const full = known.size >= MAX_DRIFT_NAMES && !known.has(keyOf(asked));
    const drift = full ? { agent, version: null, name: OTHERS } : asked;
    known.set(keyOf(drift), { ...drift, count: (known.get(keyOf(drift))?.count ?? 0) + count });
  }

  /** What was counted since the last time. */
  take(): Drift[] {
    const taken = [...this.#counts.values()].flatMap((known) => [...known.values()]);
    this.#counts = new Map();
    return taken;
  }
}

/** For the events of one run, in order: each counts under the version that the agent has given by then. */
export function startDriftCount(counter: Pick<DriftCounter, 'add'>, agent: string) {
  let version: string | null = null;
  return (events: readonly AgentEvent[]): void => {
    for (const event of events) {
      if (event.type === 'started') version = event.agentVersion ?? version;
      if (event.type === 'raw') counter.add({ agent, version, name: event.name, count: 1 });
    }
  };
}

function keyOf({ version, name }: Pick<Drift, 'version' | 'name'>): string {
  return `${version}\n${name}`;
}
