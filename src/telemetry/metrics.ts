/** Figures in the text format of Prometheus, by OpenTelemetry, which is loaded when somebody asks for the first time. */
import type { Attributes, HrTime, ValueType } from '@opentelemetry/api';
import type { PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import type { CollectionResult, MeterProvider, MetricData, MetricReader } from '@opentelemetry/sdk-metrics';
import type { Histogram } from './tallies.ts';

/** Of all figures together. */
const COLLECT_TIMEOUT_MS = 10_000;

interface Described {
  /** With its unit, as Prometheus has it: `slipway_…_seconds`; of a counter `…_total`. */
  readonly name: string;
  readonly help: string;
  /** A word in the plural; none for what is counted one by one. */
  readonly unit?: string;
}

export interface Figure extends Described {
  readonly kind: 'gauge' | 'counter';
  /** All that there is to say now; the same labels always mean the same series. */
  readonly read: () => Promise<readonly Sample[]>;
}

export interface HistogramFigure extends Described {
  readonly kind: 'histogram';
  readonly histogram: Histogram;
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
  readonly #figures: readonly (Figure | HistogramFigure)[];
  #meter: Promise<Meter> | null = null;
  #collecting: Promise<string> | null = null;

  constructor(figures: readonly (Figure | HistogramFigure)[]) {
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

async function openMeter(all: readonly (Figure | HistogramFigure)[]): Promise<Meter> {
  const [sdk, prometheus, { resourceFromAttributes }] = await Promise.all([
    import('@opentelemetry/sdk-metrics'),
    import('@opentelemetry/exporter-prometheus'),
    import('@opentelemetry/resources'),
  ]);
  const histograms = all.filter((figure) => figure.kind === 'histogram');
  /** Nothing is pushed anywhere: whoever asks collects. */
  class PulledReader extends sdk.MetricReader {
    protected async onForceFlush(): Promise<void> {}
    protected async onShutdown(): Promise<void> {}
  }
  const producer = {
    async collect(): Promise<CollectionResult> {
      const metrics = histograms.map((figure) => histogramData(sdk, figure));
      const scopeMetrics = [{ scope: { name: 'slipway' }, metrics }];
      return { resourceMetrics: { resource: resourceFromAttributes({}), scopeMetrics }, errors: [] };
    },
  };
  const reader = new PulledReader({ metricProducers: [producer] });
  const provider = new sdk.MeterProvider({ readers: [reader] });
  const meter = provider.getMeter('slipway');
  for (const figure of all) {
    if (figure.kind === 'histogram') continue;
    const { name, help, unit = '', kind, read } = figure;
    const options = { description: help, unit };
    const instrument =
      kind === 'gauge' ? meter.createObservableGauge(name, options) : meter.createObservableCounter(name, options);
    instrument.addCallback(async (result) => {
      for (const { value, labels } of await read()) result.observe(value, labels);
    });
  }
  return { provider, reader, serializer: new prometheus.PrometheusSerializer('', false, undefined, true, true) };
}

function histogramData(
  { DataPointType, AggregationTemporality }: typeof import('@opentelemetry/sdk-metrics'),
  { name, help, unit = '', histogram }: HistogramFigure,
): MetricData {
  // Not told: the text format has no start.
  const time: HrTime = [0, 0];
  const double: ValueType.DOUBLE = 1;
  return {
    descriptor: { name, description: help, unit, valueType: double },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
    dataPointType: DataPointType.HISTOGRAM,
    dataPoints: histogram.read().map(({ labels, count, sum, counts }) => ({
      startTime: time,
      endTime: time,
      attributes: labels,
      value: { count, sum, buckets: { boundaries: [...histogram.bounds], counts: [...counts] } },
    })),
  };
}
