/**
 * Named points in the life of builds, tasks and schedules at which a test can make a process die, stand still or fail: before and after every
 * write, push, hint, spawn and delivery. Nothing happens at them unless SLIPWAY_FAILPOINTS arms some.
 *
 * What is armed is the one piece of global state in Slipway: a point is in the middle of code that is given nothing but
 * what it needs, and a fault that is meant for a process belongs to the process.
 */
import { writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** `*.written` is inside of a transaction, with everything written; `*.committed` is right after it. */
export const FAILPOINTS = [
  // A build is asked for: startBuild and retryBuild, createAndBuild, cancelBuild.
  'accept.begin',
  'accept.written',
  'accept.committed',
  'create.begin',
  'create.committed',
  'cancel.begin',
  'cancel.written',
  'cancel.committed',
  // Somebody tells its agent something, or answers it.
  'talk.written',
  'talk.committed',
  // A worker takes it, and says that it lives.
  'claim.committed',
  'heartbeat.begin',
  'heartbeat.answered',
  // PREPARING
  'prepare.begin',
  'prepare.cloned',
  'prepare.recorded',
  // AGENT
  'agent.begin',
  'agent.spawning',
  'agent.spawned',
  'agent.ended',
  'agent.recorded',
  // What people said begins another run.
  'turn.taken',
  'turn.begun',
  // A rate limit: the build is put back, and others that would begin with its key are held.
  'quota.begin',
  'quota.written',
  'quota.committed',
  // Any write of a running build, and any hint to other processes.
  'ledger.written',
  'ledger.committed',
  'notify.begin',
  'notify.sent',
  // VERIFYING and PUBLISHING: the commit, its intent, its push, its proof.
  'publish.committed',
  'publish.intending',
  'publish.intended',
  'publish.pushed',
  'publish.proved',
  'publish.recorded',
  // COLLECTING
  'collect.begin',
  'collect.stored',
  'collect.recorded',
  // The end, and what is told of it.
  'finish.begin',
  'finish.written',
  'finish.committed',
  'finish.cleaned',
  'deliver.claimed',
  'deliver.sent',
  'deliver.recorded',
  // Builds of others, builds that are given back, what is left behind.
  'rescue.begin',
  'rescue.committed',
  'requeue.written',
  'release.begin',
  'release.closed',
  'release.committed',
  'drain.begin',
  'drain.ended',
  'clean.begin',
  'clean.removing',
  // A task is asked for, claimed, held, and ended: one attempt, or for good.
  'enqueue.written',
  'enqueue.committed',
  'task.claimed',
  'task.renewed',
  'task.written',
  'task.committed',
  // A worker runs one: its checkout is there, its command has ended, and nothing is left of it.
  'run.begin',
  'run.checkout',
  'run.ended',
  'run.closed',
  // A schedule is due.
  'fire.written',
  'fire.committed',
] as const;

export type Failpoint = (typeof FAILPOINTS)[number];

/**
 * `kill`: SIGKILL to itself. `pause`: SIGSTOP to itself, until somebody sends SIGCONT. `fail`: throws an Error. `reset`:
 * throws what a broken connection throws. `delay`: waits. `spin`: does nothing else for that long.
 */
export type Fault =
  | { readonly kind: 'kill' | 'pause' | 'fail' | 'reset' }
  | { readonly kind: 'delay' | 'spin'; readonly milliseconds: number };

/** The fault happens once, when the process comes to the point for the `pass`-th time. */
export interface ArmedFailpoint {
  readonly point: Failpoint;
  readonly fault: Fault;
  readonly pass: number;
}

const MAX_WAIT_MS = 120_000;

let armed: readonly ArmedFailpoint[] | null = null;
const passes = new Map<Failpoint, number>();

/** From now on; none disarms. */
export function armFailpoints(points: readonly ArmedFailpoint[]): void {
  armed = points.length > 0 ? points : null;
  passes.clear();
}

export function areFailpointsArmed(): boolean {
  return armed !== null;
}

/** Costs nothing while nothing is armed. Rejects when the armed fault is to fail. */
export function failpoint(point: Failpoint): Promise<void> | undefined {
  return armed === null ? undefined : pass(armed, point);
}

async function pass(points: readonly ArmedFailpoint[], point: Failpoint): Promise<void> {
  const count = (passes.get(point) ?? 0) + 1;
  passes.set(point, count);
  for (const { fault } of points.filter((entry) => entry.point === point && entry.pass === count)) {
    // At once, for a test that waits for it: a process that dies does not flush anything.
    writeSync(2, `failpoint ${point}: ${fault.kind}\n`);
    await strike(point, fault);
  }
}

async function strike(point: Failpoint, fault: Fault): Promise<void> {
  switch (fault.kind) {
    case 'kill':
      return void process.kill(process.pid, 'SIGKILL');
    case 'pause':
      return void process.kill(process.pid, 'SIGSTOP');
    case 'fail':
      throw new Error(`failpoint ${point}`);
    case 'reset':
      throw Object.assign(new Error(`failpoint ${point}`), { code: 'ECONNRESET' });
    case 'delay':
      return delay(fault.milliseconds);
    case 'spin':
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, fault.milliseconds);
  }
}

/** `point=fault[@pass],…`. Throws an Error that says what is wrong and what there is. */
export function parseFailpoints(text: string): readonly ArmedFailpoint[] {
  const entries = text.split(',').map((entry) => entry.trim());
  return entries.filter((entry) => entry !== '').map(parseEntry);
}

function parseEntry(entry: string): ArmedFailpoint {
  const [, name, kind, milliseconds, pass = '1'] =
    /^([^=]+)=([a-z]+)(?::(\d{1,6}))?(?:@([1-9]\d{0,5}))?$/.exec(entry) ?? [];
  const point = FAILPOINTS.find((known) => known === name);
  const fault = parseFault(kind, milliseconds);
  if (name !== undefined && !point) throw new Error(`there is no point ${name}; there are ${FAILPOINTS.join(', ')}`);
  if (!point || !fault) {
    const faults = `kill, pause, fail, reset, delay:MS or spin:MS (at most ${MAX_WAIT_MS})`;
    throw new Error(`"${entry}" is not point=fault[@pass]; a fault is ${faults}`);
  }
  return { point, fault, pass: Number(pass) };
}

function parseFault(kind: string | undefined, milliseconds: string | undefined): Fault | null {
  if (kind === 'kill' || kind === 'pause' || kind === 'fail' || kind === 'reset') {
    return milliseconds === undefined ? { kind } : null;
  }
  if (kind !== 'delay' && kind !== 'spin') return null;
  const duration = Number(milliseconds);
  return duration > 0 && duration <= MAX_WAIT_MS ? { kind, milliseconds: duration } : null;
}
