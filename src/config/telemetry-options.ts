/**
 * Where traces go, in the words of OpenTelemetry: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
 * Others read these variables, too. So they are plain texts here, and what Slipway cannot follow in them turns traces off
 * instead of refusing to start: see `tracing-settings.ts`.
 */
import { type Option, option, optional } from './option.ts';
import { SAMPLERS } from './tracing-settings.ts';

export const TELEMETRY_OPTIONS = {
  otlpEndpoint: option(
    'OTEL_EXPORTER_OTLP_ENDPOINT',
    optional,
    '',
    'The collector that gets traces, such as `http://127.0.0.1:4318`; `/v1/traces` is added. Without it there are none. ' +
      'Give it to all processes: a trace goes from the API to the worker.',
  ),
  otlpTracesEndpoint: option(
    'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT',
    optional,
    '',
    'The same for traces only, and the whole address.',
  ),
  otlpHeaders: option(
    'OTEL_EXPORTER_OTLP_HEADERS',
    optional,
    '',
    'Headers for the collector, such as its key: `name=value`, comma-separated and percent-encoded.',
    true,
  ),
  otlpTracesHeaders: option(
    'OTEL_EXPORTER_OTLP_TRACES_HEADERS',
    optional,
    '',
    'The same for traces only, in place of all of those.',
    true,
  ),
  otlpProtocol: option(
    'OTEL_EXPORTER_OTLP_PROTOCOL',
    optional,
    'http/protobuf',
    'Or `http/json`. There is no grpc: collectors take HTTP on port 4318.',
  ),
  otlpTracesProtocol: option('OTEL_EXPORTER_OTLP_TRACES_PROTOCOL', optional, '', 'The same for traces only.'),
  otelServiceName: option('OTEL_SERVICE_NAME', optional, 'slipway', 'How traces name this process.'),
  otelResourceAttributes: option(
    'OTEL_RESOURCE_ATTRIBUTES',
    optional,
    '',
    'What else traces say of this process: `name=value`, comma-separated and percent-encoded.',
  ),
  otelTracesExporter: option('OTEL_TRACES_EXPORTER', optional, 'otlp', '`none`: no trace leaves. There is no other.'),
  otelTracesSampler: option(
    'OTEL_TRACES_SAMPLER',
    optional,
    'parentbased_always_on',
    `Which traces are kept: ${SAMPLERS.map((name) => `\`${name}\``).join(', ')}.`,
  ),
  otelTracesSamplerArg: option(
    'OTEL_TRACES_SAMPLER_ARG',
    optional,
    '1',
    'The share that `traceidratio` keeps, from 0 to 1.',
  ),
  otelDisabled: option('OTEL_SDK_DISABLED', optional, 'false', '`true`: no trace leaves, whatever the others say.'),
} as const satisfies Record<string, Option<unknown>>;
