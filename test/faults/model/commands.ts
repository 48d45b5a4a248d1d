/** What may happen to builds, in any order: each command changes model and world, and compares them. */
import { deepStrictEqual } from 'node:assert/strict';
import fc from 'fast-check';
import { LEASE_SECONDS } from '../../../src/builds/lease.ts';
import type { Attempt, Done } from './attempt.ts';
import type { Model } from './reference-model.ts';
import type { World } from './world.ts';

export const WORKERS = 3;
const TICK_SECONDS = 6;
const UNIQUE_VIOLATION = '23505';

type Command = fc.AsyncCommand<Model, World>;

/** A command from a name and what it does; false: it cannot happen here. */
function command(name: string, run: (model: Model, world: World) => Promise<false | undefined>): Command {
  return {
    check: () => true,
    async run(model, world) {
      if ((await run(model, world)) === false) return;
      deepStrictEqual(await world.read(), expected(model), `after ${name}`);
    },
    toString: () => name,
  };
}

/** Without the lease: its seconds are the database's. */
function expected(model: Model) {
  return model.builds.map(({ lease: _, worker, ...build }) => ({
    ...build,
    worker: build.status === 'RUNNING' ? worker : null,
  }));
}

const start = (key: string | null, callers: number) =>
  command(`start(${key}, ${callers} callers)`, async (model, world) => {
    const answers = await Promise.all(Array.from({ length: key === null ? 1 : callers }, () => world.start(key)));
    const wanted = model.start(key);
    deepStrictEqual(new Set(answers), new Set([wanted]), 'one build for one key');
    return undefined;
  });

const forge = (key: string) =>
  command(`forge(${key})`, async (model, world) => {
    if (!model.keys.has(key)) return false;
    deepStrictEqual(await world.forge(key), UNIQUE_VIOLATION, 'the database itself refuses a second build of a key');
    return undefined;
  });

const claim = (worker: number) =>
  command(`claim(${worker})`, async (model, world) => {
    const waiting = model.some('PENDING');
    const attempt = await world.claim(worker);
    deepStrictEqual(attempt !== null, waiting, 'a claim finds a build if one waits');
    if (!attempt) return undefined;
    deepStrictEqual(model.at(attempt.index).status, 'PENDING', 'only a waiting build is claimed');
    model.claim(attempt.index, worker);
    return undefined;
  });

const beat = (worker: number) =>
  command(`beat(${worker})`, async (model, world) => {
    const mine = world.attempts.filter((attempt) => attempt.worker === worker);
    const current = mine.filter(({ index, build }) => model.holds(index, build.attemptNo)).map(({ index }) => index);
    deepStrictEqual(
      await world.beat(worker),
      [...new Set(current)].sort((a, b) => a - b),
      'the leases that hold',
    );
    for (const index of current) model.at(index).lease = LEASE_SECONDS;
    return undefined;
  });

async function pass(model: Model, world: World, seconds: number): Promise<undefined> {
  model.tick(seconds);
  await world.tick(seconds);
  return undefined;
}

async function takeAway(model: Model, world: World): Promise<undefined> {
  await world.rescue();
  for (const [index, build] of model.builds.entries()) {
    if (build.status === 'RUNNING' && build.lease < 0) model.putBack(index, 1);
  }
  return undefined;
}

const tick = command('tick', (model, world) => pass(model, world, TICK_SECONDS));
const rescue = command('rescue', takeAway);

/** All workers are silent for as long as a lease, and come back: what ticks and rescues by chance seldom bring about. */
const lapse = command('lapse', async (model, world) => {
  await pass(model, world, LEASE_SECONDS + 1);
  return takeAway(model, world);
});

const restart = (worker: number, places: number, lives: boolean) =>
  command(`restart(${worker}, ${places} places${lives ? ', lives on' : ''})`, async (model, world) => {
    const inherited = await world.restart(worker, { places, lives });
    const left = [...model.builds.entries()].filter(
      ([, build]) => build.status === 'RUNNING' && build.worker === worker,
    );
    for (const [index] of left) model.putBack(index, 1);
    const mayGoOn = left.map(([index]) => index).filter((index) => model.at(index).status === 'PENDING');
    deepStrictEqual(inherited.length, Math.min(places, mayGoOn.length), 'the heir has as many as it has places for');
    for (const index of inherited) {
      deepStrictEqual(mayGoOn.includes(index), true, 'only what the dead worker ran is inherited');
      model.claim(index, worker);
    }
    return undefined;
  });

const cancel = (pick: number) =>
  command(`cancel(${pick})`, async (model, world) => {
    if (model.builds.length === 0) return false;
    const index = pick % model.builds.length;
    deepStrictEqual(await world.cancel(index), model.cancel(index));
    return undefined;
  });

const retry = (pick: number) =>
  command(`retry(${pick})`, async (model, world) => {
    if (model.builds.length === 0) return false;
    const index = pick % model.builds.length;
    const finished = !['PENDING', 'RUNNING'].includes(model.at(index).status);
    deepStrictEqual(await world.retry(index), finished ? model.start(null) : 'refused');
    return undefined;
  });

async function takeStep(model: Model, world: World, attempt: Attempt | undefined): Promise<false | undefined> {
  if (!attempt) return false;
  const { index, build, step } = attempt;
  const holds = model.holds(index, build.attemptNo);
  const done = await attempt.next(world.remote);
  const asks = done !== 'ran' && done !== 'sent' && done !== 'absent';
  deepStrictEqual(done === 'lost', asks && !holds, `${step} of attempt ${build.attemptNo}: ${done}`);
  if (holds) apply(model, index, done);
  if (attempt.step === 'ended') world.attempts = world.attempts.filter((other) => other !== attempt);
  return undefined;
}

/** One step of one attempt, which may have been superseded long ago. */
const work = (pick: number) =>
  command(`work(${pick})`, (model, world) =>
    takeStep(model, world, world.attempts[pick % Math.max(1, world.attempts.length)]),
  );

/** One step of an attempt that has been superseded: among all attempts they are too few to be met often. */
const late = (pick: number) =>
  command(`late(${pick})`, (model, world) => {
    const over = world.attempts.filter(({ index, build }) => !model.holds(index, build.attemptNo));
    return takeStep(model, world, over[pick % Math.max(1, over.length)]);
  });

function apply(model: Model, index: number, done: Done): void {
  const build = model.at(index);
  if (done === 'intended' || done === 'forbidden') deepStrictEqual(done, build.cancel ? 'forbidden' : 'intended');
  // What the attempt writes says that it lives.
  if (done === 'intended' || done === 'forbidden' || done === 'proved') build.lease = LEASE_SECONDS;
  if (done === 'intended') build.intent = true;
  if (done === 'proved') build.pushed = true;
  if (done === 'completed') model.finish(index, 'COMPLETED');
  if (done === 'cancelled') model.finish(index, 'CANCELLED');
}

const release = (pick: number) =>
  command(`release(${pick})`, async (model, world) => {
    const attempt = world.attempts[pick % Math.max(1, world.attempts.length)];
    if (!attempt) return false;
    const holds = model.holds(attempt.index, attempt.build.attemptNo);
    deepStrictEqual(await attempt.release(), holds ? 'released' : 'lost');
    if (holds) model.putBack(attempt.index, 0);
    world.attempts = world.attempts.filter((other) => other !== attempt);
    return undefined;
  });

const deliver = (die: 'never' | 'claimed' | 'sent') =>
  command(`deliver(dies: ${die})`, async (_, world) => {
    await world.deliver(die);
    return undefined;
  });

const key = fc.constantFrom('a', 'b', 'c');
const worker = fc.nat(WORKERS - 1);
const pick = fc.nat(9);
/** Work is what happens most. */
const steps = Array.from({ length: 4 }, () => pick.map(work));

const starts = fc
  .tuple(fc.option(key, { nil: null }), fc.integer({ min: 1, max: 3 }))
  .map(([name, callers]) => start(name, callers));

export const COMMANDS: fc.Arbitrary<Command>[] = [
  starts,
  starts,
  key.map(forge),
  worker.map(claim),
  worker.map(claim),
  worker.map(beat),
  fc.constant(tick),
  fc.constant(rescue),
  fc.constant(lapse),
  fc.tuple(worker, fc.nat(2), fc.boolean()).map(([index, places, lives]) => restart(index, places, lives)),
  pick.map(cancel),
  pick.map(retry),
  pick.map(release),
  fc.constantFrom('never' as const, 'claimed' as const, 'sent' as const).map(deliver),
  pick.map(late),
  pick.map(late),
  ...steps,
];

export const STEPS = { tick, rescue, claim, work, deliver };
