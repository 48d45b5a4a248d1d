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
  | 'otlpTracesHeaders'
  | 'otlpProtocol'
  | 'otlpTracesProtocol'
  | 'otelServiceName'
  | 'otelResourceAttributes'
  | 'otelTracesExporter'
  | 'otelTracesSampler'
  | 'otelTracesSamplerArg'
  | 'otelDisabled'
>;

const endpoint = z
  .url({ protocol: /^https?$/, error: 'must be an address that begins with http:// or https://' })
  .refine(hasNoUser, {
    error:
      'must have no user and no password: put authorization=Basic%20… (the base64 of user:password) into the headers, ' +
      'such as OTEL_EXPORTER_OTLP_HEADERS',
  });
const pairs = z.string().transform(readPairs);
const protocol = z.enum(PROTOCOLS, `must be ${PROTOCOLS.join(' or ')}`);
const schema = z.object({
  OTEL_EXPORTER_OTLP_ENDPOINT: endpoint.optional(),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: endpoint.optional(),
  OTEL_EXPORTER_OTLP_HEADERS: pairs.optional(),
  OTEL_EXPORTER_OTLP_TRACES_HEADERS: pairs.optional(),
  OTEL_EXPORTER_OTLP_PROTOCOL: protocol.optional(),
  OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: protocol.optional(),
  OTEL_SERVICE_NAME: z.string().optional(),
  OTEL_RESOURCE_ATTRIBUTES: pairs.default({}),
  OTEL_TRACES_SAMPLER: z.enum(SAMPLERS, `must be one of ${SAMPLERS.join(', ')}`).default('parentbased_always_on'),
  OTEL_TRACES_SAMPLER_ARG: z.coerce.number('must be a number').min(0).max(1).default(1),
});

/** Null where no traces are wanted; `problem` where they are, and cannot be sent as the variables say. */
export function readTracingSettings(config: TracingConfig): TracingSettings | null | { readonly problem: string } {
  const { otlpEndpoint, otlpTracesEndpoint, otlpTracesHeaders, otlpTracesProtocol, otelDisabled } = config;
  if (otelDisabled?.toLowerCase() === 'true') return null;
  const exporter = config.otelTracesExporter?.toLowerCase() ?? 'otlp';
  if (exporter === 'none') return null;
  if (exporter !== 'otlp') return { problem: 'OTEL_TRACES_EXPORTER must be otlp or none' };
  if (otlpEndpoint === undefined && otlpTracesEndpoint === undefined) return null;
  const { success, data, error } = schema.safeParse({
    OTEL_EXPORTER_OTLP_ENDPOINT: unless(otlpTracesEndpoint, otlpEndpoint),
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: otlpTracesEndpoint,
    OTEL_EXPORTER_OTLP_HEADERS: unless(otlpTracesHeaders, config.otlpHeaders),
    OTEL_EXPORTER_OTLP_TRACES_HEADERS: otlpTracesHeaders,
    OTEL_EXPORTER_OTLP_PROTOCOL: unless(otlpTracesProtocol, config.otlpProtocol),
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: otlpTracesProtocol,
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
    headers: data.OTEL_EXPORTER_OTLP_TRACES_HEADERS ?? data.OTEL_EXPORTER_OTLP_HEADERS ?? {},
    protocol: data.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL ?? data.OTEL_EXPORTER_OTLP_PROTOCOL ?? 'http/protobuf',
    resource: { ...data.OTEL_RESOURCE_ATTRIBUTES, 'service.name': serviceName },
    sampler: data.OTEL_TRACES_SAMPLER,
    samplerRatio: data.OTEL_TRACES_SAMPLER_ARG,
  };
}

/** What is said of traces alone stands in place of what is said of everything, which may then be what others need. */
function unless(own: string | undefined, general: string | undefined): string | undefined {
  return own === undefined ? general : undefined;
}

/** Of what is no address something else is said. */
function hasNoUser(address: string): boolean {
  const url = URL.parse(address);
  return !url || (url.username === '' && url.password === '');
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
