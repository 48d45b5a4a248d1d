import { expect, test } from 'vitest';
import { readConfig } from '../../src/config/config.ts';
import { readTracingSettings } from '../../src/config/tracing-settings.ts';

const ENDPOINT = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318/' };
const read = (environment: Record<string, string>) => readTracingSettings(readConfig(environment));

test('the variables are understood as OpenTelemetry has them', () => {
  expect(read(ENDPOINT)).toEqual({
    url: 'http://127.0.0.1:4318/v1/traces',
    headers: {},
    protocol: 'http/protobuf',
    resource: { 'service.name': 'slipway' },
    sampler: 'parentbased_always_on',
    samplerRatio: 1,
  });
  expect(
    read({
      ...ENDPOINT,
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://traces.example.com/in',
      OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Basic%20eA==, x-team=a%2Cb,',
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_RESOURCE_ATTRIBUTES: 'service.name=other,deployment.environment.name=test',
      OTEL_TRACES_SAMPLER: 'traceidratio',
      OTEL_TRACES_SAMPLER_ARG: '0.25',
    }),
  ).toEqual({
    url: 'https://traces.example.com/in',
    headers: { authorization: 'Basic eA==', 'x-team': 'a,b' },
    protocol: 'http/json',
    resource: { 'service.name': 'other', 'deployment.environment.name': 'test' },
    sampler: 'traceidratio',
    samplerRatio: 0.25,
  });
});

test('without an endpoint, or where they are disabled, there are no traces', () => {
  expect(read({ OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' })).toBeNull();
  expect(read({ ...ENDPOINT, OTEL_SDK_DISABLED: 'TRUE' })).toBeNull();
});

test.each([
  ['OTEL_EXPORTER_OTLP_HEADERS', 'no pair'],
  ['OTEL_EXPORTER_OTLP_HEADERS', 'a=%zz'],
  ['OTEL_EXPORTER_OTLP_ENDPOINT', 'collector:4317'],
  ['OTEL_EXPORTER_OTLP_PROTOCOL', 'grpc'],
  ['OTEL_TRACES_SAMPLER', 'jaeger_remote'],
  ['OTEL_TRACES_SAMPLER_ARG', '2'],
])('%s=%s is a problem of traces, and of nothing else', (name, value) => {
  expect(read({ ...ENDPOINT, [name]: value })).toEqual({ problem: expect.stringContaining(name) });
});
