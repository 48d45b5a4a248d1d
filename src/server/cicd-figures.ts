/**
 * Figures by OpenTelemetry's conventions for CI/CD (https://opentelemetry.io/docs/specs/semconv/cicd/cicd-metrics/), in the
 * names that Prometheus gives them. Active runs and workers are those of the installation; what is counted is what this
 * process has ended or met since its start: sum it over all processes.
 */
import type { BuildFigures, WorkerFigures } from '../stats/operating-figures.ts';
import type { Figure, HistogramFigure } from '../telemetry/metrics.ts';
import type { Counter } from '../telemetry/tallies.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';

export function cicdFigures(
  telemetry: Telemetry,
  { readBuilds, readWorkers }: { readBuilds(): Promise<BuildFigures>; readWorkers(): Promise<WorkerFigures> },
): (Figure | HistogramFigure)[] {
  return [
    {
      name: 'cicd_pipeline_run_duration_seconds',
      help: 'How long builds that have ended were pending and executing, by result.',
      unit: 'seconds',
      kind: 'histogram',
      histogram: telemetry.runDurations,
    },
    {
      name: 'cicd_pipeline_run_active',
      help: 'Builds that are not finished, by state: pending, executing, or finalizing what the agent has done.',
      unit: 'runs',
      kind: 'gauge',
      read: async () => {
        const { pending, executing, finalizing } = await readBuilds();
        return Object.entries({ pending, executing, finalizing }).map(([state, value]) => ({
          value,
          labels: { cicd_pipeline_name: 'build', cicd_pipeline_run_state: state },
        }));
      },
    },
    {
      name: 'cicd_pipeline_run_errors_total',
      help: 'Builds that failed, by reason.',
      unit: 'errors',
      kind: 'counter',
      read: async () => counted(telemetry.runErrors),
    },
    {
      name: 'cicd_worker_count',
      help: 'Workers that were heard of in the last day, by state.',
      unit: 'workers',
      kind: 'gauge',
      read: async () => {
        const { available, working, draining, offline } = await readWorkers();
        const states = Object.entries({ available, busy: working + draining, offline });
        return states.map(([state, value]) => ({ value, labels: { cicd_worker_state: state } }));
      },
    },
    {
      name: 'cicd_system_errors_total',
      help: 'What failed in Slipway itself and not in a build, by component.',
      unit: 'errors',
      kind: 'counter',
      read: async () => counted(telemetry.systemErrors),
    },
  ];
}

function counted(counter: Counter) {
  return counter.read().map(({ value, labels }) => ({ value, labels: { ...labels } }));
}
