import { isAbsolute } from 'node:path';
import { expect, test } from 'vitest';
import { ConfigError, readConfig } from '../../src/config/config.ts';
import { OPTIONS } from '../../src/config/options.ts';

test('an empty environment is a complete configuration', () => {
  const config = readConfig({});
  expect(config).toMatchObject({ port: 4400, host: '127.0.0.1', logLevel: 'info', workerCapacity: 2 });
  expect(isAbsolute(config.dataFolder)).toBe(true);
  expect(Object.isFrozen(config)).toBe(true);
});

test('an empty variable counts as not set', () => {
  expect(readConfig({ SLIPWAY_PORT: '' }).port).toBe(4400);
});

test('every mistake is reported at once, by its variable', () => {
  const environment = { SLIPWAY_PORT: 'eighty', SLIPWAY_LOG_LEVEL: 'loud', SLIPWAY_WORKER_CAPACITY: '0' };
  expect(() => readConfig(environment)).toThrow(ConfigError);
  for (const name of Object.keys(environment)) expect(() => readConfig(environment)).toThrow(name);
});

test('lists and flags', () => {
  const config = readConfig({ SLIPWAY_ALLOWED_ORIGINS: 'https://a.example, https://b.example', SLIPWAY_GRAPHIQL: '1' });
  expect(config.allowedOrigins).toEqual(['https://a.example', 'https://b.example']);
  expect(config.graphiql).toBe(true);
  expect(readConfig({}).graphiql).toBeUndefined();
});

test('labels of a worker are checked, sorted and each once', () => {
  expect(readConfig({ SLIPWAY_WORKER_LABELS: 'rig, arch=arm64,rig' }).workerLabels).toEqual(['arch=arm64', 'rig']);
  for (const wrong of ['provider:codex', 'a b', '=x', Array.from({ length: 51 }, (_, at) => `l${at}`).join()]) {
    expect(() => readConfig({ SLIPWAY_WORKER_LABELS: wrong }), wrong).toThrow('SLIPWAY_WORKER_LABELS: must ');
  }
});

test('no two options read the same variable, and each has help', () => {
  const options = Object.values(OPTIONS);
  expect(new Set(options.map((option) => option.env)).size).toBe(options.length);
  expect(options.filter((option) => option.help.length < 10)).toEqual([]);
});
