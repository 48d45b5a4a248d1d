import { expect, test } from 'vitest';
import { SPEC_HASH } from '../../../src/runtimes/kubernetes/pod-layout.ts';
import { type PodView, viewOfPod } from '../../../src/runtimes/kubernetes/pod-view.ts';
import { planWarmPods } from '../../../src/runtimes/kubernetes/warm-plan.ts';

const NOW = Date.parse('2026-01-01T12:00:00Z');
const TARGET = { image: 'a', count: 2, specHash: 'ours' };
const MINUTE_MS = 60_000;

function pod(
  name: string,
  ageMs: number,
  {
    hash = 'ours',
    runs = true,
    deleted = false,
    status = {},
  }: { hash?: string; runs?: boolean; deleted?: boolean; status?: object } = {},
): PodView {
  const state = runs ? { running: {} } : { waiting: { reason: 'ContainerCreating' } };
  const view = viewOfPod({
    metadata: {
      ...{ name, uid: name, creationTimestamp: new Date(NOW - ageMs).toISOString() },
      annotations: { [SPEC_HASH]: hash },
      ...(deleted ? { deletionTimestamp: new Date(NOW).toISOString() } : {}),
    },
    status: {
      phase: runs ? 'Running' : 'Pending',
      containerStatuses: ['git', 'agent'].map((container) => ({ name: container, state })),
      ...status,
    },
  });
  if (!view) throw new Error('a pod without a view');
  return view;
}

function plan(...pods: PodView[]) {
  const ages = { now: NOW, startMs: MINUTE_MS, maxAgeMs: 60 * MINUTE_MS, provenMs: 1000 };
  const { remove, failed, starting, missing } = planWarmPods({ pods, targets: [TARGET], ...ages });
  return {
    ...{ remove: remove.map(({ name }) => name), failed: [...failed.values()], isStarting: starting.size > 0 },
    missing: missing.get(TARGET) ?? 0,
  };
}

const NOTHING = { remove: [], failed: [], isStarting: false, missing: 0 };

test('as many as there should be are left alone, also those that have just begun', () => {
  expect(plan(pod('one', 1000), pod('two', 500, { runs: false }))).toEqual({ ...NOTHING, isStarting: true });
  expect(plan(pod('one', 1000))).toEqual({ ...NOTHING, missing: 1 });
});

test('too many are removed in the same order by everybody: what does not run yet, then the youngest', () => {
  const pods = [pod('b', 3000), pod('starting', 9000, { runs: false }), pod('a', 3000), pod('young', 1000)];
  expect(plan(...pods).remove).toEqual(['young', 'starting']);
  expect(plan(...pods.toReversed()).remove).toEqual(['young', 'starting']);
});

test('what is old, or is not known for ten minutes, is removed and says nothing of its image', () => {
  expect(plan(pod('old', 61 * MINUTE_MS), pod('one', 1000), pod('two', 1000))).toEqual({ ...NOTHING, remove: ['old'] });
  const strange = { hash: 'theirs' };
  expect(plan(pod('strange', 9 * MINUTE_MS, strange))).toEqual({ ...NOTHING, missing: 2 });
  expect(plan(pod('strange', 11 * MINUTE_MS, strange))).toEqual({ ...NOTHING, remove: ['strange'], missing: 2 });
});

test('what ends, fails or does not start in time is removed, with the reason', () => {
  const ended = plan(pod('one', 0, { status: { phase: 'Failed', reason: 'Evicted', message: 'no room' } }));
  expect(ended).toMatchObject({ remove: ['one'], failed: [expect.stringContaining('no room')], missing: 2 });
  const unscheduled = {
    runs: false,
    status: {
      containerStatuses: [],
      conditions: [{ type: 'PodScheduled', status: 'False', message: '0/1 nodes are available' }],
    },
  };
  expect(plan(pod('one', 59_000, unscheduled))).toEqual({ ...NOTHING, isStarting: true, missing: 1 });
  const late = plan(pod('one', 61_000, unscheduled));
  expect(late).toMatchObject({ remove: ['one'], failed: ['No node takes the pod: 0/1 nodes are available'] });
});

test('one that is being deleted is missing, and is no failure', () => {
  expect(plan(pod('one', 0), pod('going', 0, { deleted: true }))).toMatchObject({ failed: [], missing: 1 });
});

test('an image is starting until all of its pods have run for a while', () => {
  expect(plan(pod('one', 1000), pod('two', 999)).isStarting).toBe(true);
  expect(plan(pod('one', 1000), pod('two', 1000)).isStarting).toBe(false);
});
