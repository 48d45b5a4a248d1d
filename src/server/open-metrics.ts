/**
 * What `/metrics` tells: the whole installation, as the database has it, what this process has counted, and nothing of a
 * single build or project.
 */
import { LEASE_SECONDS } from '../builds/lease.ts';
import type { Database } from '../database/database.ts';
import type { Orchestrator } from '../orchestrator.ts';
import {
  type BuildFigures,
  countWaitingCallbacks,
  readBuildFigures,
  readQueueDepths,
  readUnknownOutput,
  readWorkerFigures,
  type WorkerFigures,
} from '../stats/operating-figures.ts';
import { countWaits } from '../stats/queue-stats.ts';
import { WAIT_REASONS } from '../stats/wait-reasons.ts';
import { type Figure, type HistogramFigure, Metrics } from '../telemetry/metrics.ts';
import { cicdFigures } from './cicd-figures.ts';

export function openMetrics({ db, telemetry }: Pick<Orchestrator, 'db' | 'telemetry'>): Metrics {
  const readBuilds = together(() => readBuildFigures(db));
  const readWorkers = together(() => readWorkerFigures(db, { timeoutSeconds: LEASE_SECONDS }));
  return new Metrics([
    ...queueFigures(db, readBuilds),
    ...depthFigures(db),
    waitFigure(telemetry),
    ...workerFigures(db, readWorkers),
    ...cicdFigures(telemetry, { readBuilds, readWorkers }),
  ]);
}

/** Figures of one query are asked for together, and read once. */
function together<T>(query: () => Promise<T>): () => Promise<T> {
  let asked: Promise<T> | null = null;
  return () => {
    asked ??= query().finally(() => {
      asked = null;
    });
    return asked;
  };
}

function queueFigures(db: Database, read: () => Promise<BuildFigures>): Figure[] {
  return [
    {
      name: 'slipway_builds',
      help: 'Builds that are not finished, by status.',
      unit: 'builds',
      kind: 'gauge',
      read: async () => {
        const { pending, executing, finalizing } = await read();
        return [
          { value: pending, labels: { status: 'pending' } },
          { value: executing + finalizing, labels: { status: 'running' } },
        ];
      },
    },
    {
      name: 'slipway_oldest_pending_build_age_seconds',
      help: 'How long the oldest build waits that could begin now; 0 when none waits.',
      unit: 'seconds',
      kind: 'gauge',
      read: async () => [{ value: (await read()).oldestPendingSeconds }],
    },
    {
      name: 'slipway_callbacks_waiting',
      help: 'Callbacks that are neither delivered nor given up.',
      unit: 'callbacks',
      kind: 'gauge',
      read: async () => [{ value: await countWaitingCallbacks(db) }],
    },
  ];
}

function depthFigures(db: Database): Figure[] {
  const readDepths = together(() => readQueueDepths(db));
  return [
    {
      name: 'slipway_queue_items',
      help: 'Builds and tasks in the queue, by kind and state: waiting, scheduled for later, or running.',
      unit: 'items',
      kind: 'gauge',
      read: async () =>
        (await readDepths()).flatMap(({ kind, waiting, scheduled, running }) =>
          Object.entries({ waiting, scheduled, running }).map(([state, value]) => ({ value, labels: { kind, state } })),
        ),
    },
    {
      name: 'slipway_queue_oldest_wait_seconds',
      help: 'Since when the item could start that waits longest, by kind; 0 when none waits.',
      unit: 'seconds',
      kind: 'gauge',
      read: async () =>
        (await readDepths()).map(({ kind, oldestSeconds }) => ({ value: oldestSeconds, labels: { kind } })),
    },
    {
      name: 'slipway_queue_waiting_builds',
      help: 'Builds that wait, by the first reason that holds them back.',
      unit: 'builds',
      kind: 'gauge',
      read: async () => {
        const counts = new Map((await countWaits(db, {})).map(({ code, count }) => [code, count]));
        return WAIT_REASONS.map((code) => ({ value: counts.get(code) ?? 0, labels: { reason: code.toLowerCase() } }));
      },
    },
  ];
}

function waitFigure({ queueWaits }: Orchestrator['telemetry']): HistogramFigure {
  return {
    name: 'slipway_queue_wait_seconds',
    help: 'How long builds and tasks that were claimed by this process had waited since they could start, by kind.',
    unit: 'seconds',
    kind: 'histogram',
    histogram: queueWaits,
  };
}

function workerFigures(db: Database, read: () => Promise<WorkerFigures>): Figure[] {
  return [
    {
      name: 'slipway_workers',
      help: 'Workers that were heard of in the last day, by state.',
      unit: 'workers',
      kind: 'gauge',
      read: async () => {
        const { available, working, draining, offline } = await read();
        return Object.entries({ online: available + working, draining, offline }).map(([state, value]) => ({
          value,
          labels: { state },
        }));
      },
    },
    {
      name: 'slipway_agent_unknown_events_total',
      help: 'Events of agents that this version of Slipway does not know, by agent, its version and the kind of event.',
      unit: 'events',
      kind: 'counter',
      read: async () => (await readUnknownOutput(db)).map(({ count, ...labels }) => ({ value: count, labels })),
    },
  ];
}
