/** The matrix: every failpoint, every fault, every kind of process that comes by it. */
import { FAILPOINTS, type Failpoint } from '../../src/std/failpoint.ts';

/** `remote`: a worker that reaches only the API. */
export type Host = 'server' | 'worker' | 'remote';

/**
 * What is done so that a process comes by the point. `quick`: builds that take a second. `long`: that take six,
 * `failing`: and fail then. `create`, `retry`: by those mutations. `cancel waiting`, `cancel running`: one of two builds
 * is cancelled. `cancel at point`: each of them, when the point is reached. `drain`, `leave`: the worker is told to stop
 * while agents run, and puts its builds back or leaves them alone. `refused`: builds whose provider refuses their agent
 * once, because of a rate limit; `held`: and another one that would begin with its key meanwhile. `orphan`: builds of a
 * worker that is gone. `told`: its agent is told something while it runs, and does that in a second turn. `litter`: a workspace that was not removed.
 * `superseding`: builds of one branch, each of which takes the place of those before it. `limited`: builds and tasks in a
 * project that may run two of them, and one of a key. `far`: the server's builds are run by a remote worker. `task`: tasks
 * that a client claims, completes, fails and gives back. `cancel task`: a waiting one and a running one are cancelled.
 * `orphan tasks`: their worker is silent. `test run`, `deploy run`: tasks that workers of Slipway run. `schedule`: two
 * are due at once.
 */
export type Scenario =
  | 'quick'
  | 'long'
  | 'failing'
  | 'refused'
  | 'held'
  | 'told'
  | 'create'
  | 'retry'
  | 'cancel waiting'
  | 'cancel running'
  | 'cancel at point'
  | 'drain'
  | 'leave'
  | 'orphan'
  | 'litter'
  | 'superseding'
  | 'limited'
  | 'far'
  | 'task'
  | 'cancel task'
  | 'orphan tasks'
  | 'test run'
  | 'deploy run'
  | 'schedule';

/** When a zombie wakes up: as soon as another worker has its build, or when that one may be done with it. */
export type Wake = 'takeover' | 'leisure';

export interface FailpointCase {
  readonly point: Failpoint;
  /** As in SLIPWAY_FAILPOINTS. */
  readonly fault: string;
  readonly pass: number;
  /** Other points where the same happens: a mistake costs no process, so several share one. */
  readonly also: readonly Pick<FailpointCase, 'point' | 'pass'>[];
  /** How often it happens, at every other pass. */
  readonly times: number;
  readonly host: Host;
  readonly scenario: Scenario;
  /** Where the builds of a killed worker go on. */
  readonly successor: 'same folder' | 'elsewhere';
  readonly wake: Wake;
}

interface Way {
  readonly host: Host;
  readonly scenario: Scenario;
  readonly pass: number;
  /** Nothing happens to others while it stands still here: that is no case. */
  readonly neverPaused?: true;
}

type RemoteWay = Way & { readonly point: Failpoint };

const server = (scenario: Scenario, pass = 1): Way => ({ host: 'server', scenario, pass });
const worker = (scenario: Scenario, pass = 1): Way => ({ host: 'worker', scenario, pass });
const awake = (way: Way): Way => ({ ...way, neverPaused: true });
const remote = (scenario: Scenario, ...points: (Failpoint | [Failpoint, number])[]): RemoteWay[] =>
  points.map((at) => {
    const [point, pass] = typeof at === 'string' ? [at, 1] : at;
    return { host: 'remote', scenario, point, pass };
  });

/** Each point in at least one way; in both kinds of process where both come by. */
const WAYS: Readonly<Record<Failpoint, readonly [Way, ...Way[]]>> = {
  // First those that take longest: a delivery's lease and the look for litter take a minute each.
  'clean.begin': [worker('litter')],
  'clean.removing': [worker('litter')],
  'deliver.claimed': [worker('quick')],
  'deliver.sent': [worker('quick')],
  'deliver.recorded': [worker('quick')],
  'rescue.begin': [worker('orphan'), server('orphan tasks')],
  'rescue.committed': [worker('orphan')],
  'requeue.written': [worker('orphan')],
  'accept.begin': [server('quick')],
  'accept.written': [server('quick'), server('create'), server('superseding', 2)],
  'accept.committed': [server('retry', 2), awake(server('superseding', 2))],
  'create.begin': [server('create')],
  'create.committed': [server('create')],
  'cancel.begin': [server('cancel running')],
  'cancel.written': [server('cancel waiting'), server('cancel task', 2)],
  'cancel.committed': [server('cancel running'), awake(server('cancel task'))],
  'talk.written': [server('told')],
  'talk.committed': [server('told')],
  'claim.committed': [worker('quick'), worker('limited')],
  'heartbeat.begin': [worker('long')],
  'heartbeat.answered': [worker('long')],
  'prepare.begin': [worker('quick')],
  'prepare.cloned': [worker('quick')],
  'prepare.recorded': [worker('quick')],
  'agent.begin': [worker('quick')],
  'agent.spawning': [worker('quick')],
  'agent.spawned': [worker('quick')],
  'agent.ended': [worker('quick')],
  'agent.recorded': [worker('quick')],
  'turn.taken': [worker('told')],
  'turn.begun': [worker('told')],
  'quota.begin': [worker('refused')],
  'quota.written': [worker('refused')],
  'quota.committed': [worker('refused')],
  'ledger.written': [worker('quick', 4)],
  'ledger.committed': [worker('quick', 9)],
  'notify.begin': [worker('quick', 3), server('cancel running')],
  'notify.sent': [worker('quick', 3), server('cancel running')],
  'publish.committed': [worker('quick')],
  'publish.intending': [worker('quick')],
  'publish.intended': [worker('quick')],
  'publish.pushed': [worker('quick')],
  'publish.proved': [worker('quick')],
  'publish.recorded': [worker('quick')],
  'collect.begin': [worker('quick')],
  'collect.stored': [worker('quick')],
  'collect.recorded': [worker('quick')],
  'finish.begin': [worker('quick')],
  'finish.written': [worker('quick'), server('cancel waiting')],
  'finish.committed': [worker('quick')],
  'finish.cleaned': [worker('quick')],
  'release.begin': [worker('drain')],
  'release.closed': [worker('drain')],
  'release.committed': [worker('drain')],
  'drain.begin': [worker('drain'), worker('leave')],
  'drain.ended': [worker('leave')],
  'enqueue.written': [server('task')],
  'enqueue.committed': [awake(server('task'))],
  'task.claimed': [server('task'), worker('test run')],
  'task.renewed': [awake(server('task')), worker('test run')],
  'task.written': [server('task'), worker('deploy run')],
  'task.committed': [awake(server('task')), awake(worker('test run'))],
  'run.begin': [awake(worker('test run'))],
  'run.checkout': [worker('deploy run')],
  'run.ended': [awake(worker('test run'))],
  'run.closed': [worker('deploy run')],
  'fire.written': [server('schedule')],
  'fire.committed': [awake(server('schedule'))],
};

/** What a worker comes by that reaches only the API, and that says something to it: it is killed at each. */
const REMOTE: readonly RemoteWay[] = [
  ...remote('quick', 'claim.committed', 'prepare.recorded', 'agent.spawned', 'agent.ended', 'agent.recorded'),
  ...remote('quick', ['ledger.written', 4], ['ledger.committed', 9]),
  ...remote('quick', 'publish.committed', 'publish.intended', 'publish.pushed', 'publish.proved', 'publish.recorded'),
  ...remote('quick', 'collect.begin', 'collect.stored', 'collect.recorded'),
  ...remote('quick', 'finish.begin', 'finish.committed', 'finish.cleaned'),
  ...remote('long', 'heartbeat.answered'),
  ...remote('told', 'turn.taken', 'turn.begun'),
  ...remote('refused', 'quota.begin', 'quota.committed'),
  ...remote('drain', 'release.closed', 'release.committed'),
  ...remote('leave', 'drain.ended'),
  ...remote('test run', 'run.begin', 'run.ended'),
  ...remote('deploy run', 'run.closed'),
];

const MATRIX_FAULTS = ['kill', 'pause'];
/** Mistakes of one process at most. */
const MISTAKES = 5;
/** Where a process comes by its points again and again. */
const REPEATED: ReadonlySet<Scenario> = new Set<Scenario>([
  ...(['quick', 'long', 'orphan', 'superseding', 'schedule'] as const),
  ...(['task', 'cancel task', 'test run', 'deploy run'] as const),
]);

/** What the matrix does not say: the other faults, and cancels that come at the worst moment. */
const FURTHER: readonly (Partial<FailpointCase> & Pick<FailpointCase, 'point' | 'fault'>)[] = [
  // The event loop stands still for longer than the lease.
  { point: 'heartbeat.begin', fault: 'spin:20000', scenario: 'long' },
  { point: 'publish.intended', fault: 'spin:20000' },
  // A zombie that has something to write as soon as it wakes up, while its successor is at work.
  { point: 'ledger.committed', fault: 'pause', pass: 9, scenario: 'long', wake: 'takeover' },
  { point: 'agent.ended', fault: 'pause', wake: 'takeover' },
  { point: 'publish.committed', fault: 'pause', wake: 'takeover' },
  { point: 'finish.begin', fault: 'pause', scenario: 'failing', wake: 'takeover' },
  // Numbers of events are taken before others that are written earlier.
  { point: 'ledger.written', fault: 'delay:700', pass: 5 },
  { point: 'accept.written', fault: 'delay:700', host: 'server' },
  // The answer of the database is lost; what was written may be there or not.
  { point: 'accept.written', fault: 'reset', host: 'server' },
  { point: 'cancel.written', fault: 'reset', host: 'server', scenario: 'cancel waiting' },
  { point: 'claim.committed', fault: 'reset' },
  { point: 'ledger.written', fault: 'reset', pass: 6 },
  { point: 'ledger.committed', fault: 'reset', times: 30 },
  { point: 'publish.intending', fault: 'reset' },
  { point: 'finish.written', fault: 'reset' },
  { point: 'deliver.sent', fault: 'reset' },
  // After an intent, and wherever the build goes on, one commit.
  { point: 'publish.intended', fault: 'kill', successor: 'same folder' },
  { point: 'publish.intended', fault: 'kill', successor: 'elsewhere' },
  { point: 'publish.pushed', fault: 'kill', successor: 'same folder' },
  { point: 'publish.pushed', fault: 'kill', successor: 'elsewhere' },
  ...(
    [
      'claim.committed',
      'agent.spawning',
      'publish.committed',
      'publish.intending',
      'publish.intended',
      'finish.written',
    ] as const
  ).map((point) => ({ point, fault: 'delay:1500', scenario: 'cancel at point' }) as const),
  { point: 'agent.recorded', fault: 'kill', scenario: 'cancel at point' },
  // What waited for its provider is taken up again, and that goes wrong.
  { point: 'quota.committed', fault: 'kill', scenario: 'refused', successor: 'elsewhere' },
  { point: 'claim.committed', fault: 'kill', pass: 2, scenario: 'refused' },
  { point: 'claim.committed', fault: 'kill', scenario: 'held' },
  { point: 'prepare.begin', fault: 'kill', pass: 2, scenario: 'refused', successor: 'same folder' },
  { point: 'agent.spawned', fault: 'pause', pass: 2, scenario: 'refused', wake: 'takeover' },
  // What people said is delivered by whoever comes next.
  { point: 'turn.taken', fault: 'kill', scenario: 'told', successor: 'same folder' },
  { point: 'turn.taken', fault: 'kill', scenario: 'told', successor: 'elsewhere' },
  { point: 'agent.spawned', fault: 'kill', pass: 2, scenario: 'told', successor: 'same folder' },
  { point: 'talk.written', fault: 'reset', host: 'server', scenario: 'told' },
  { point: 'quota.written', fault: 'reset', scenario: 'refused' },
  { point: 'quota.written', fault: 'delay:1500', scenario: 'cancel at point' },
  { point: 'quota.begin', fault: 'delay:1500', scenario: 'cancel at point' },
  // A place in the queue is free again, and no sooner.
  { point: 'finish.written', fault: 'kill', scenario: 'limited', successor: 'elsewhere' },
  { point: 'requeue.written', fault: 'reset', scenario: 'orphan' },
  // Every last word of a lease: completed, failed, given back. Its answer is lost, and it is said again.
  { point: 'task.committed', fault: 'kill', pass: 2, host: 'server', scenario: 'task' },
  { point: 'task.committed', fault: 'kill', pass: 3, host: 'server', scenario: 'task' },
  { point: 'task.written', fault: 'reset', host: 'server', scenario: 'task' },
  { point: 'enqueue.written', fault: 'reset', host: 'server', scenario: 'task' },
  { point: 'fire.written', fault: 'reset', host: 'server', scenario: 'schedule' },
  // Its event loop stands still for longer than the lease of its task; its command outlives it.
  { point: 'task.renewed', fault: 'spin:14000', pass: 2, scenario: 'test run' },
  { point: 'agent.spawned', fault: 'kill', scenario: 'test run', successor: 'same folder' },
  // The remote worker is the zombie, then the server of one.
  ...(['ledger.committed', 'agent.ended', 'publish.pushed', 'finish.begin'] as const).map(
    (point) =>
      ({ point, fault: 'pause', pass: point.startsWith('ledger') ? 9 : 1, host: 'remote', wake: 'takeover' }) as const,
  ),
  { point: 'run.closed', fault: 'pause', host: 'remote', scenario: 'test run', wake: 'takeover' },
  { point: 'heartbeat.begin', fault: 'spin:20000', host: 'remote', scenario: 'long' },
  { point: 'publish.intended', fault: 'kill', host: 'remote', successor: 'same folder' },
  { point: 'publish.intended', fault: 'kill', host: 'remote', successor: 'elsewhere' },
  {
    ...{ point: 'claim.committed', fault: 'fail', host: 'remote' },
    also: [
      { point: 'ledger.written', pass: 4 },
      { point: 'ledger.committed', pass: 9 },
      { point: 'collect.stored', pass: 1 },
    ],
  },
  ...(['claim.committed', 'ledger.committed', 'publish.intending', 'collect.stored', 'finish.written'] as const).map(
    (point) =>
      ({ point, fault: 'kill', pass: point.startsWith('ledger') ? 5 : 1, host: 'server', scenario: 'far' }) as const,
  ),
  { point: 'publish.intending', fault: 'pause', host: 'server', scenario: 'far' },
  { point: 'ledger.committed', fault: 'reset', times: 20, host: 'server', scenario: 'far' },
];

/** Every case once; what comes first takes longest. */
export function failpointCases(): readonly FailpointCase[] {
  const points = Object.entries(WAYS) as [Failpoint, readonly Way[]][];
  const matrix = points.flatMap(([point, ways]) =>
    ways.flatMap(({ neverPaused, ...way }) =>
      MATRIX_FAULTS.filter((fault) => fault !== 'pause' || !neverPaused).map((fault) => ({
        ...defaults(point),
        ...{ ...way, point, fault },
      })),
    ),
  );
  const killed = REMOTE.map((way) => ({ ...defaults(way.point), ...way, fault: 'kill' }));
  const further = FURTHER.map((entry) => ({ ...defaults(entry.point), ...entry }));
  const seen = new Map([...matrix, ...killed, ...mistakes(points), ...further].map((entry) => [nameOf(entry), entry]));
  return [...seen.values()];
}

/** Each point in each of its ways fails once. */
function mistakes(points: readonly [Failpoint, readonly Way[]][]): FailpointCase[] {
  const all = points.flatMap(([point, ways]) => ways.map((way) => ({ ...way, point })));
  const groups = Object.values(Object.groupBy(all, ({ host, scenario }) => `${host} ${scenario}`));
  return groups.flatMap((group = []) => {
    const size = group[0] && REPEATED.has(group[0].scenario) ? MISTAKES : 1;
    const parts = Array.from({ length: Math.ceil(group.length / size) }, (_, part) =>
      group.slice(part * size, (part + 1) * size),
    );
    return parts.flatMap(([first, ...also]) =>
      first ? [{ ...defaults(first.point), ...first, fault: 'fail', also }] : [],
    );
  });
}

/** Neighbours differ, so that both kinds of successor and of awakening are everywhere. */
function defaults(point: Failpoint): Omit<FailpointCase, 'fault'> {
  const even = FAILPOINTS.indexOf(point) % 2 === 0;
  return {
    point,
    ...{ pass: 1, times: 1, also: [], host: 'worker', scenario: 'quick' },
    ...{ successor: even ? 'same folder' : 'elsewhere', wake: even ? 'leisure' : 'takeover' },
  };
}

export function pointsOf({ point, also }: FailpointCase): readonly Failpoint[] {
  return [point, ...also.map((other) => other.point)];
}

export function nameOf(entry: FailpointCase): string {
  const { fault, host, scenario, successor, wake } = entry;
  const then = { kill: `, then ${successor}`, pause: `, wakes at ${wake}` }[fault];
  const where = host === 'server' ? '' : (then ?? '');
  const at = pointsOf(entry).join(', ');
  return `${at}${entry.pass > 1 && entry.also.length === 0 ? `@${entry.pass}` : ''} ${fault} in ${host} (${scenario}${where})`;
}
