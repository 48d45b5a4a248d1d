/** Figures in the text format of Prometheus, by OpenTelemetry, which is loaded when somebody asks for the first time. */
import type { Attributes } from '@opentelemetry/api';
import type { PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import type { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics';

/** Of all figures together. */
const COLLECT_TIMEOUT_MS = 10_000;

export interface Figure {
  /** With its unit, as Prometheus has it: `slipway_…_seconds`; of a counter `…_total`. */
  readonly name: string;
  readonly help: string;
  readonly kind: 'gauge' | 'counter';
  /** All that there is to say now; the same labels always mean the same series. */
  readonly read: () => Promise<readonly Sample[]>;
}

export interface Sample {
  readonly value: number;
  readonly labels?: Attributes;
}

interface Meter {
  readonly provider: MeterProvider;
  readonly reader: MetricReader;
  readonly serializer: PrometheusSerializer;
}

export class Metrics implements AsyncDisposable {
  readonly #figures: readonly Figure[];
  #meter: Promise<Meter> | null = null;
  #collecting: Promise<string> | null = null;

  constructor(figures: readonly Figure[]) {
    this.#figures = figures;
  }

  /** All figures as they are now; callers at the same time share one look. Rejects with why a figure cannot be read. */
  collect(): Promise<string> {
    this.#collecting ??= this.#collect().finally(() => {
      this.#collecting = null;
    });
    return this.#collecting;
  }

  async #collect(): Promise<string> {
    this.#meter ??= openMeter(this.#figures);
    const { reader, serializer } = await this.#meter;
    const { resourceMetrics, errors } = await reader.collect({ timeoutMillis: COLLECT_TIMEOUT_MS });
    if (errors.length > 0) throw errors[0];
    return serializer.serialize(resourceMetrics);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const meter = await this.#meter;
    this.#meter = null;
    await meter?.provider.shutdown();
  }
}

async function openMeter(figures: readonly Figure[]): Promise<Meter> {
  const [sdk, prometheus] = await Promise.all([
    import('@opentelemetry/sdk-metrics'),
    import('@opentelemetry/exporter-prometheus'),
  ]);
  /** Nothing is pushed anywhere: whoever asks collects. */
  class PulledReader extends sdk.MetricReader {
    protected async onForceFlush(): Promise<void> {}
    protected async onShutdown(): Promise<void> {}
  }
  const reader = new PulledReader();
  const provider = new sdk.MeterProvider({ readers: [reader] });
  const meter = provider.getMeter('slipway');
  for (const { name, help, kind, read } of figures) {
    const options = { description: help };
    const instrument =
      kind === 'gauge' ? meter.createObservableGauge(name, options) : meter.createObservableCounter(name, options);
    instrument.addCallback(async (result) => {
      for (const { value, labels } of await read()) result.observe(value, labels);
    });
  }
  return { provider, reader, serializer: new prometheus.PrometheusSerializer('', false, undefined, true, true) };
}
