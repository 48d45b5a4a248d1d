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

test('what is said of traces alone stands in place of what is said of everything', () => {
  expect(
    read({
      OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4317',
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://traces.example.com/in',
      OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Basic%20eA==,x-team=a',
      OTEL_EXPORTER_OTLP_TRACES_HEADERS: 'x-key=b',
      OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
      OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'http/json',
      OTEL_TRACES_EXPORTER: 'OTLP',
    }),
  ).toMatchObject({ url: 'https://traces.example.com/in', headers: { 'x-key': 'b' }, protocol: 'http/json' });
});

test('without an endpoint, or where they are disabled, there are no traces', () => {
  expect(read({ OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' })).toBeNull();
  expect(read({ ...ENDPOINT, OTEL_SDK_DISABLED: 'TRUE' })).toBeNull();
  expect(read({ ...ENDPOINT, OTEL_TRACES_EXPORTER: 'none' })).toBeNull();
});

test.each([
  ['OTEL_EXPORTER_OTLP_HEADERS', 'no pair'],
  ['OTEL_EXPORTER_OTLP_HEADERS', 'a=%zz'],
  ['OTEL_EXPORTER_OTLP_ENDPOINT', 'collector:4317'],
  ['OTEL_EXPORTER_OTLP_TRACES_HEADERS', 'no pair'],
  ['OTEL_EXPORTER_OTLP_PROTOCOL', 'grpc'],
  ['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL', 'grpc'],
  ['OTEL_TRACES_EXPORTER', 'console'],
  ['OTEL_TRACES_SAMPLER', 'jaeger_remote'],
  ['OTEL_TRACES_SAMPLER_ARG', '2'],
])('%s=%s is a problem of traces, and of nothing else', (name, value) => {
  expect(read({ ...ENDPOINT, [name]: value })).toEqual({ problem: expect.stringContaining(name) });
});

test.each(['OTEL_EXPORTER_OTLP_ENDPOINT', 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'])(
  'a password in %s is a problem that says where else to put it, and does not show it',
  (name) => {
    const { problem } = read({ [name]: 'https://captain:s3cret@collector.example.com' }) as { problem: string };
    expect(problem).toContain(name);
    expect(problem).toContain('OTEL_EXPORTER_OTLP_HEADERS');
    expect(problem).not.toMatch(/captain|s3cret/);
  },
);
