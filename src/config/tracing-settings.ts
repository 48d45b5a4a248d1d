/** What the variables of OpenTelemetry mean for Slipway. */
import { z } from 'zod';
import type { Config } from './config.ts';

const PROTOCOLS = ['http/protobuf', 'http/json'] as const;
export const SAMPLERS = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const;

export interface TracingSettings {
  /** Of the collector, with its path. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly protocol: (typeof PROTOCOLS)[number];
  /** `service.name` is among them. */
  readonly resource: Readonly<Record<string, string>>;
  readonly sampler: (typeof SAMPLERS)[number];
  /** From 0 to 1. */
  readonly samplerRatio: number;
}

export type TracingConfig = Pick<
  Config,
  | 'otlpEndpoint'
  | 'otlpTracesEndpoint'
  | 'otlpHeaders'
  | 'otlpProtocol'
  | 'otelServiceName'
  | 'otelResourceAttributes'
  | 'otelTracesSampler'
  | 'otelTracesSamplerArg'
  | 'otelDisabled'
>;

const endpoint = z.url({ protocol: /^https?$/, error: 'must be an address that begins with http:// or https://' });
const pairs = z.string().default('').transform(readPairs);
const schema = z.object({
  OTEL_EXPORTER_OTLP_ENDPOINT: endpoint.optional(),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: endpoint.optional(),
  OTEL_EXPORTER_OTLP_HEADERS: pairs,
  OTEL_EXPORTER_OTLP_PROTOCOL: z.enum(PROTOCOLS, `must be ${PROTOCOLS.join(' or ')}`).default('http/protobuf'),
  OTEL_SERVICE_NAME: z.string().optional(),
  OTEL_RESOURCE_ATTRIBUTES: pairs,
  OTEL_TRACES_SAMPLER: z.enum(SAMPLERS, `must be one of ${SAMPLERS.join(', ')}`).default('parentbased_always_on'),
  OTEL_TRACES_SAMPLER_ARG: z.coerce.number('must be a number').min(0).max(1).default(1),
});

/** Null where no traces are wanted; `problem` where they are, and cannot be sent as the variables say. */
export function readTracingSettings(config: TracingConfig): TracingSettings | null | { readonly problem: string } {
  const { otlpEndpoint, otlpTracesEndpoint, otelDisabled } = config;
  if (otelDisabled?.toLowerCase() === 'true') return null;
  if (otlpEndpoint === undefined && otlpTracesEndpoint === undefined) return null;
  const { success, data, error } = schema.safeParse({
    OTEL_EXPORTER_OTLP_ENDPOINT: otlpEndpoint,
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: otlpTracesEndpoint,
    OTEL_EXPORTER_OTLP_HEADERS: config.otlpHeaders,
    OTEL_EXPORTER_OTLP_PROTOCOL: config.otlpProtocol,
    OTEL_SERVICE_NAME: config.otelServiceName,
    OTEL_RESOURCE_ATTRIBUTES: config.otelResourceAttributes,
    OTEL_TRACES_SAMPLER: config.otelTracesSampler,
    OTEL_TRACES_SAMPLER_ARG: config.otelTracesSamplerArg,
  });
  if (!success)
    return { problem: error.issues.map(({ path, message }) => `${path[0]?.toString()} ${message}`).join('; ') };
  const base = data.OTEL_EXPORTER_OTLP_ENDPOINT?.replace(/\/+$/, '');
  const serviceName = data.OTEL_SERVICE_NAME ?? data.OTEL_RESOURCE_ATTRIBUTES['service.name'] ?? 'slipway';
  return {
    url: data.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ?? `${base}/v1/traces`,
    headers: data.OTEL_EXPORTER_OTLP_HEADERS,
    protocol: data.OTEL_EXPORTER_OTLP_PROTOCOL,
    resource: { ...data.OTEL_RESOURCE_ATTRIBUTES, 'service.name': serviceName },
    sampler: data.OTEL_TRACES_SAMPLER,
    samplerRatio: data.OTEL_TRACES_SAMPLER_ARG,
  };
}

/** `name=value,…`, percent-encoded. */
function readPairs(text: string, context: z.RefinementCtx): Record<string, string> {
  const parts = text.split(',').filter((part) => part.trim() !== '');
  try {
    return Object.fromEntries(
      parts.map((part) => {
        const [, name, value] = /^\s*([^=\s]+)\s*=(.*)$/s.exec(part) ?? [];
        if (name === undefined || value === undefined) throw new Error('no pair');
        return [name, decodeURIComponent(value.trim())] as const;
      }),
    );
  } catch {
    context.addIssue('must be name=value, comma-separated and percent-encoded');
    return z.NEVER;
  }
}
