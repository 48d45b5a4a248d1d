/** What one process tells of itself, besides its log. */
import type { Config } from '../config/config.ts';
import type { Logger } from './logger.ts';
import { openTracing } from './open-tracing.ts';
import type { Tracing } from './span.ts';
import { Counter, Histogram } from './tallies.ts';

const DURATION_BOUNDS = [1, 5, 15, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 14_400];
const WAIT_BOUNDS = [0.1, 0.5, 1, 5, 15, 60, 300, 900, 3_600, 14_400, 86_400];

/** The parts of Slipway that can fail by themselves. */
const COMPONENTS = ['api', 'worker', 'builds', 'callbacks'] as const;

export interface Telemetry extends AsyncDisposable {
  readonly tracing: Tracing;
  /** Seconds that builds spent in each state, counted by who ended them. */
  readonly runDurations: Histogram;
  /** Seconds from when builds and tasks could start to their claim, by kind, counted by who has claimed them. */
  readonly queueWaits: Histogram;
  /** Builds that failed, by reason. */
  readonly runErrors: Counter;
  /** A series of each component, from the start. */
  readonly systemErrors: Counter;
  /** Something failed that no build, caller or receiver is the reason for. */
  systemError(component: (typeof COMPONENTS)[number]): void;
}

export async function openTelemetry(config: Config, logger: Logger): Promise<Telemetry> {
  const tracing = await openTracing(config, logger);
  const labelsOf = (component: string) => ({ cicd_system_component: component });
  const systemErrors = new Counter(COMPONENTS.map(labelsOf));
  return {
    tracing,
    runDurations: new Histogram(DURATION_BOUNDS),
    queueWaits: new Histogram(WAIT_BOUNDS),
    runErrors: new Counter(),
    systemErrors,
    systemError: (component) => systemErrors.add(labelsOf(component)),
    [Symbol.asyncDispose]: () => tracing[Symbol.asyncDispose](),
  };
}
