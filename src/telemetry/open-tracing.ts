/** Traces by OpenTelemetry, which is loaded only where the configuration names a collector. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Span as SdkSpan, SpanContext } from '@opentelemetry/api';
import type { Sampler, SpanExporter } from '@opentelemetry/sdk-trace';
import { readTracingSettings, type TracingConfig, type TracingSettings } from '../config/tracing-settings.ts';
import { VERSION } from '../std/version.ts';
import type { Logger } from './logger.ts';
import { NO_TRACING, type Span, type SpanAttributes, type SpanStart, type Tracing } from './span.ts';
import { SpanSender } from './span-sender.ts';
import type { TraceIds } from './trace-ids.ts';

/** Spans that wait for the collector; further ones are dropped. */
const MAX_WAITING = 2_048;
const SEND_EVERY_MS = 2_000;
/** At the end: how long the last spans may take. */
const CLOSE_GRACE_MS = 1_500;
/** Of one attribute: what is longer is cut. */
const MAX_VALUE_LENGTH = 1_024;

type Api = typeof import('@opentelemetry/api');
type Sdk = typeof import('@opentelemetry/sdk-trace');

/** Nothing ever waits for the collector: what it does not take in time is dropped, and one line of the log says so. */
export async function openTracing(config: TracingConfig, logger: Logger): Promise<Tracing> {
  const settings = readTracingSettings(config);
  if (settings === null) return NO_TRACING;
  if ('problem' in settings) {
    logger.warn({ problem: settings.problem }, 'there are no traces: the collector cannot be used as OTEL_* say');
    return NO_TRACING;
  }
  const [api, sdk] = await Promise.all([import('@opentelemetry/api'), import('@opentelemetry/sdk-trace')]);
  const sender = createSender(settings, logger);
  const ids = new NamedSpanIds(sdk);
  const provider = new sdk.TracerProvider({
    sampler: createSampler(sdk, settings),
    spanLimits: { attributeValueLengthLimit: MAX_VALUE_LENGTH },
    idGenerator: ids,
    resource: await createResource(settings),
    spanProcessors: [
      new sdk.BatchSpanProcessor({
        exporter: await createExporter(settings, sender),
        maxQueueSize: MAX_WAITING,
        scheduledDelayMillis: SEND_EVERY_MS,
      }),
    ],
  });
  const tracer = provider.getTracer('slipway', VERSION);
  return {
    start({ name, parent, kind, attributes = {}, startedAt, spanId }) {
      const context = parent ? api.trace.setSpanContext(api.ROOT_CONTEXT, contextOf(parent, api)) : api.ROOT_CONTEXT;
      const options = { kind: kindOf(kind, api), attributes: known(attributes) };
      return ids.use(spanId, () =>
        toSpan(tracer.startSpan(name, startedAt ? { ...options, startTime: startedAt } : options, context), api),
      );
    },
    async [Symbol.asyncDispose]() {
      const late = new AbortController();
      const flushed = provider.shutdown().catch(() => {});
      await Promise.race([flushed, delay(CLOSE_GRACE_MS, undefined, { signal: late.signal }).catch(() => {})]);
      late.abort();
      sender[Symbol.dispose]();
      await flushed;
    },
  };
}

/** Random, unless the next span has an id already. */
class NamedSpanIds {
  readonly #random: InstanceType<Sdk['RandomIdGenerator']>;
  #next: string | undefined;

  constructor(sdk: Sdk) {
    this.#random = new sdk.RandomIdGenerator();
  }

  use(spanId: string | undefined, start: () => Span): Span {
    this.#next = spanId;
    try {
      return start();
    } finally {
      this.#next = undefined;
    }
  }

  generateTraceId(): string {
    return this.#random.generateTraceId();
  }

  generateSpanId(): string {
    return this.#next ?? this.#random.generateSpanId();
  }
}

function createSender({ url, headers, protocol }: TracingSettings, logger: Logger): SpanSender {
  const contentType = protocol === 'http/json' ? 'application/json' : 'application/x-protobuf';
  const own = { 'content-type': contentType, 'user-agent': `slipway/${VERSION}` };
  return new SpanSender({ url, headers: { ...headers, ...own }, logger });
}

async function createExporter({ protocol }: TracingSettings, sender: SpanSender): Promise<SpanExporter> {
  const { JsonTraceSerializer, ProtobufTraceSerializer } = await import('@opentelemetry/otlp-transformer');
  const serializer = protocol === 'http/json' ? JsonTraceSerializer : ProtobufTraceSerializer;
  return {
    export(spans, done) {
      // The sender has said what failed: the SDK need not say it again.
      void sender.send(serializer.serializeRequest(spans)).then(() => done({ code: 0 }));
    },
    shutdown: async () => {},
  };
}

async function createResource({ resource }: TracingSettings) {
  const { resourceFromAttributes } = await import('@opentelemetry/resources');
  return resourceFromAttributes({ 'service.version': VERSION, ...resource });
}

function createSampler(sdk: Sdk, { sampler, samplerRatio }: TracingSettings): Sampler {
  const roots: Readonly<Record<string, () => Sampler>> = {
    always_on: () => new sdk.AlwaysOnSampler(),
    always_off: () => new sdk.AlwaysOffSampler(),
    traceidratio: () => new sdk.TraceIdRatioBasedSampler(samplerRatio),
  };
  const root = roots[sampler.replace('parentbased_', '')]?.();
  if (!root) throw new Error(`there is no sampler ${sampler}`);
  return sampler.startsWith('parentbased_') ? new sdk.ParentBasedSampler({ root }) : root;
}

function contextOf({ traceId, spanId, sampled }: TraceIds, { TraceFlags }: Api): SpanContext {
  return { traceId, spanId, traceFlags: sampled ? TraceFlags.SAMPLED : TraceFlags.NONE, isRemote: true };
}

function kindOf(kind: SpanStart['kind'], { SpanKind }: Api) {
  if (kind === 'server') return SpanKind.SERVER;
  if (kind === 'client') return SpanKind.CLIENT;
  return kind === 'consumer' ? SpanKind.CONSUMER : SpanKind.INTERNAL;
}

function toSpan(span: SdkSpan, { SpanStatusCode, TraceFlags }: Api): Span {
  const { traceId, spanId, traceFlags } = span.spanContext();
  return {
    ids: { traceId, spanId, sampled: (traceFlags & TraceFlags.SAMPLED) !== 0 },
    set: (attributes) => void span.setAttributes(known(attributes)),
    fail(errorType) {
      span.setAttribute('error.type', errorType);
      span.setStatus({ code: SpanStatusCode.ERROR, message: errorType });
    },
    end: (at) => span.end(at),
  };
}

function known(attributes: SpanAttributes): Record<string, string | number | boolean> {
  const entries = Object.entries(attributes).map(([name, value]) => [name, value ?? null] as const);
  return Object.fromEntries(entries.flatMap(([name, value]) => (value === null ? [] : [[name, value]])));
}
