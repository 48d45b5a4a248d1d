import { expect, test } from 'vitest';
import { DriftCounter, MAX_DRIFT_NAMES, startDriftCount } from '../../src/agents/drift.ts';

test('unknown lines are counted by agent, version and name, and given away once', () => {
  const counter = new DriftCounter();
  const count = startDriftCount(counter, 'codex');
  count([{ type: 'raw', name: 'before' }]);
  count([
    { type: 'started', sessionId: null, model: null, agentVersion: '1.0.0' },
    { type: 'raw', name: 'new/kind' },
    { type: 'turn_finished' },
    { type: 'raw', name: 'new/kind' },
  ]);
  startDriftCount(counter, 'gemini')([{ type: 'raw', name: 'new/kind' }]);
  expect(counter.take()).toEqual([
    { agent: 'codex', version: null, name: 'before', count: 1 },
    { agent: 'codex', version: '1.0.0', name: 'new/kind', count: 2 },
    { agent: 'gemini', version: null, name: 'new/kind', count: 1 },
  ]);
  expect(counter.take()).toEqual([]);
});

test('however many kinds an agent makes up, and however long and odd they are, what is kept of them is bounded', () => {
  const counter = new DriftCounter();
  const add = (agent: string, name: string) => counter.add({ agent, version: null, name, count: 1 });
  for (let i = 0; i < 1_000; i += 1) add('codex', `kind ${i}`);
  add('codex', 'kind 0');
  add('gemini', `\0\ud800${'x'.repeat(100_000)}`);
  const taken = counter.take();
  expect(taken.filter(({ agent }) => agent === 'codex')).toHaveLength(MAX_DRIFT_NAMES + 1);
  expect(taken.find(({ name }) => name === 'others')?.count).toBe(1_000 - MAX_DRIFT_NAMES);
  expect(taken.find(({ name }) => name === 'kind 0')?.count).toBe(2);
  const name = taken.at(-1)?.name ?? '';
  expect(name.length).toBe(200);
  expect(name).toMatch(/^\uFFFD\uFFFDx+$/);
});
