import { describe, expect, test } from 'vitest';
import { isRunning, lossOf, startProblem } from '../../../src/runtimes/kubernetes/pod-loss.ts';
import { viewOfPod } from '../../../src/runtimes/kubernetes/pod-view.ts';

const RUNNING = { running: { startedAt: '2026-01-01T00:00:00Z' } };

/** As the API server gives it. */
function pod(status: object, metadata: object = {}) {
  const view = viewOfPod({ metadata: { name: 'slipway-x', uid: 'u', ...metadata }, spec: {}, status });
  if (!view) throw new Error('no view');
  return view;
}

const containers = (agent: object, git: object = RUNNING) => [
  { name: 'agent', state: agent },
  { name: 'git', state: git },
];
const terminated = (reason: string, exitCode = 137) => ({ terminated: { reason, exitCode } });

describe('a pod', () => {
  test('that runs is not lost', () => {
    const view = pod({ phase: 'Running', containerStatuses: containers(RUNNING) });
    expect([lossOf(view), isRunning(view), startProblem(view)]).toEqual([null, true, null]);
  });

  test('that is gone is lost', () => {
    expect(lossOf(undefined)).toMatchObject({ reason: 'deleted' });
  });

  test.each([
    ['out_of_memory', { phase: 'Failed', containerStatuses: containers(terminated('OOMKilled')) }, {}],
    ['out_of_memory', { phase: 'Running', containerStatuses: containers(RUNNING, terminated('OOMKilled')) }, {}],
    ['deadline', { phase: 'Failed', reason: 'DeadlineExceeded', message: 'Pod was active on the node longer' }, {}],
    [
      'disk_full',
      {
        phase: 'Failed',
        reason: 'Evicted',
        message: 'Pod ephemeral local storage usage exceeds the total limit of 1Gi.',
      },
      {},
    ],
    [
      'disk_full',
      { phase: 'Failed', reason: 'Evicted', message: 'Usage of EmptyDir volume "builds" exceeds 1Gi.' },
      {},
    ],
    ['evicted', { phase: 'Failed', reason: 'Evicted', message: 'The node was low on resource: memory.' }, {}],
    ['evicted', { phase: 'Failed', reason: 'NodeShutdown' }, {}],
    ['evicted', { phase: 'Failed', containerStatuses: containers(terminated('Error')) }, {}],
    [
      'deleted',
      { phase: 'Running', containerStatuses: containers(RUNNING) },
      { deletionTimestamp: '2026-01-01T00:00:00Z' },
    ],
    [
      'unreachable',
      { phase: 'Running', reason: 'NodeLost', containerStatuses: containers(RUNNING) },
      { deletionTimestamp: '2026-01-01T00:00:00Z' },
    ],
    [
      'unreachable',
      { phase: 'Running', conditions: [{ type: 'Ready', status: 'Unknown' }], containerStatuses: containers(RUNNING) },
      { deletionTimestamp: '2026-01-01T00:00:00Z' },
    ],
    [
      'unreachable',
      {
        phase: 'Running',
        conditions: [{ type: 'DisruptionTarget', status: 'True', reason: 'DeletionByTaintManager' }],
        containerStatuses: containers(RUNNING),
      },
      { deletionTimestamp: '2026-01-01T00:00:00Z' },
    ],
    ['evicted', { phase: 'Succeeded', containerStatuses: containers(terminated('Completed', 0)) }, {}],
    ['evicted', { phase: 'Running', containerStatuses: containers(terminated('Error', 1)) }, {}],
  ])('is lost: %s', (reason, status, metadata) => {
    expect(lossOf(pod(status, metadata))).toMatchObject({ reason, message: expect.stringMatching(/^The .*\.$/) });
  });

  test.each([
    [true, { waiting: { reason: 'ErrImageNeverPull', message: 'not present with pull policy of Never' } }],
    [true, { waiting: { reason: 'InvalidImageName', message: 'couldn’t parse image reference' } }],
    [true, { waiting: { reason: 'CreateContainerConfigError', message: 'secret "x" not found' } }],
    [false, { waiting: { reason: 'ImagePullBackOff', message: 'Back-off pulling image "x"' } }],
  ])('that does not start says why (final: %s)', (isFinal, state) => {
    const view = pod({ phase: 'Pending', containerStatuses: containers(state) });
    const problem = startProblem(view);
    expect(problem).toMatchObject({ isFinal, message: expect.stringContaining(state.waiting.message) });
    expect(isRunning(view)).toBe(false);
  });

  test('that no node takes says so, and may wait', () => {
    const message = '0/1 nodes are available: 1 Insufficient cpu.';
    const conditions = [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message }];
    expect(startProblem(pod({ phase: 'Pending', conditions }))).toEqual({
      message: `No node takes the pod: ${message}`,
      isFinal: false,
    });
  });

  test('whose init container fails does not start', () => {
    const initContainerStatuses = [{ name: 'tools', state: terminated('Error', 1) }];
    expect(startProblem(pod({ phase: 'Pending', initContainerStatuses }))).toMatchObject({ isFinal: true });
  });
});
