/** What may happen to the queue, in any order: each command changes model and SQL, and compares them. */
import { deepStrictEqual } from 'node:assert/strict';
import fc from 'fast-check';
import type { QueueWorld } from './queue-world.ts';
import {
  type Asks,
  EVERYTHING,
  type Gate,
  KINDS,
  LABELS,
  type ModelItem,
  PROJECTS,
  type ReferenceQueue,
} from './reference-queue.ts';

type Command = fc.AsyncCommand<ReferenceQueue, QueueWorld>;

function command(name: string, run: (model: ReferenceQueue, world: QueueWorld) => Promise<void>): Command {
  return { check: () => true, run, toString: () => name };
}

/** A command about one of the items in the queue; nothing if it is empty. */
function about(
  name: string,
  choice: number,
  run: (item: ModelItem, model: ReferenceQueue, world: QueueWorld) => Promise<void>,
): Command {
  return command(`${name}(${choice})`, async (model, world) => {
    const item = model.pick(choice);
    if (item) await run(item, model, world);
  });
}

/** A claim of no more than this is compared with as many claims of one item. */
const MAX_COMPARED = 4;
const byNumber = (one: number, other: number) => one - other;

async function claimAndCompare(asks: Asks, model: ReferenceQueue, world: QueueWorld): Promise<void> {
  const singly = asks.max > 1 && asks.max <= MAX_COMPARED ? await world.foretell(asks) : null;
  const taken = await world.claim(asks);
  if (singly) deepStrictEqual(taken.toSorted(byNumber), singly.toSorted(byNumber), 'as one at a time would have given');
  for (const index of taken) {
    const item = model.items.get(index);
    if (!item) throw new Error(`a claim gave out ${index}, which is not in the queue`);
    deepStrictEqual(model.obstacles(item, asks), [], `a claim gave out ${index} in spite of`);
    deepStrictEqual(model.isNext(item, asks), true, `${index} is the first of those like it`);
    item.state = 'runs';
  }
  const left = taken.length < asks.max ? model.eligible(asks).map(({ index }) => index) : [];
  deepStrictEqual(left, [], 'what may start is given out');
}

/** The item goes; those that may start because of it must not have to wait for somebody to look. */
const end = (choice: number) =>
  about('end', choice, async (item, model, world) => {
    const before = new Set(model.eligible());
    model.items.delete(item.index);
    const isFreed = model.eligible().some((other) => !before.has(other));
    const isTold = await world.remove(item);
    if (isFreed) deepStrictEqual(isTold, true, 'who waits is told');
    deepStrictEqual(await world.remove(item), false, 'it is gone');
    deepStrictEqual(await world.putBack(item, 0), false, 'it is gone, and cannot be put back');
  });

const putBack = (choice: number, hours: number) =>
  about('putBack', choice, async (item, model, world) => {
    deepStrictEqual(await world.putBack(item, hours), true);
    item.state = hours > 0 ? 'later' : 'waits';
    item.gate = model.gateOf(item);
  });

const setPriority = (choice: number, priority: number) =>
  about(`setPriority ${priority}`, choice, async (item, _, world) => {
    deepStrictEqual(await world.setPriority(item, priority), item.state !== 'runs');
    if (item.state !== 'runs') item.priority = priority;
  });

const comeDue = (choice: number) =>
  about('comeDue', choice, async (item, _, world) => {
    if (item.state !== 'later') return;
    await world.comeDue(item);
    item.state = 'waits';
  });

const pause = (project: number | null, isPaused: boolean) =>
  command(`${isPaused ? 'pause' : 'resume'}(${project})`, async (model, world) => {
    await (isPaused ? world.pause(project) : world.resume(project));
    if (project === null) model.isPaused = isPaused;
    else model.project(project).isPaused = isPaused;
  });

const limit = (max: number | null) =>
  command(`limit(${max})`, async (model, world) => {
    await world.limit(max);
    model.max = max;
  });

const configure = (project: number, weight: number, max: number | null, keyLimit: number) =>
  command(`configure(${project}, max ${max}, keys ${keyLimit})`, async (model, world) => {
    await world.configure(project, weight, max, keyLimit);
    Object.assign(model.project(project), { max, keyLimit });
  });

const limitKey = (project: number, key: string, max: number | null) =>
  command(`limitKey(${project}, ${key}, ${max})`, async (model, world) => {
    await world.limitKey(project, key, max);
    if (max === null) model.project(project).keyLimits.delete(key);
    else model.project(project).keyLimits.set(key, max);
  });

const limitGate = (gate: Gate, max: number | null) =>
  command(`limitGate(${gate}, ${max})`, async (model, world) => {
    await world.limitGate(gate, max);
    if (max === null) model.gateLimits.delete(gate);
    else model.gateLimits.set(gate, max);
  });

const setCredential = (project: number, isThere: boolean) =>
  command(`setCredential(${project}, ${isThere})`, async (model, world) => {
    if (model.project(project).hasOwnCredential === isThere) return;
    await world.setCredential(project, isThere);
    model.project(project).hasOwnCredential = isThere;
    model.regate();
  });

const tidy = command('tidy', async (_, world) => {
  await world.tidy();
});

const check = command('check', async (_, world) => deepStrictEqual(await world.check(), [], 'counters'));

const choice = fc.nat(11);
const project = fc.nat(PROJECTS - 1);
const key = fc.constantFrom('k', 'l');
const labels = fc.subarray(LABELS);
const max = fc.option(fc.integer({ min: 0, max: 3 }), { nil: null });
const gate = fc.oneof(fc.constant<Gate>('shared'), project);

const adds = fc
  .record({
    project,
    kind: fc.constantFrom(...KINDS),
    key: fc.oneof(fc.constant(''), key),
    needs: fc.oneof({ weight: 3, arbitrary: fc.constant<string[]>([]) }, { weight: 1, arbitrary: labels }),
    isKeyed: fc.boolean(),
    addedAt: fc.integer({ min: -300, max: 0 }),
    priority: fc.integer({ min: -2, max: 2 }),
    state: fc.constantFrom('waits' as const, 'waits' as const, 'waits' as const, 'later' as const),
  })
  .map((made) =>
    command(`add(${JSON.stringify(made)})`, async (model, world) => {
      const item = { ...made, index: model.count, gate: model.gateOf(made) };
      model.count += 1;
      model.items.set(item.index, item);
      deepStrictEqual(await world.add(item), true);
      deepStrictEqual(await world.add(item), false, 'what is in the queue is not added again');
    }),
  );

const claims = fc
  .record({
    kinds: fc.oneof({ weight: 2, arbitrary: fc.constant(KINDS) }, { weight: 1, arbitrary: fc.subarray(KINDS) }),
    labels: fc.oneof({ weight: 2, arbitrary: fc.constant(LABELS) }, { weight: 1, arbitrary: labels }),
    max: fc.oneof(fc.constant(1), fc.integer({ min: 2, max: MAX_COMPARED })),
    projects: fc.option(fc.subarray([0, 1, 2]), { nil: null, freq: 4 }),
  })
  .map((asks) => command(`claim(${JSON.stringify(asks)})`, (model, world) => claimAndCompare(asks, model, world)));

export const COMMANDS: fc.Arbitrary<Command>[] = [
  ...[adds, adds, adds, adds, adds, claims, claims, claims, claims],
  ...[choice.map(end), choice.map(end), choice.map(end), choice.map(comeDue)],
  fc.tuple(choice, fc.nat(1)).map(([item, hours]) => putBack(item, hours)),
  fc.tuple(choice, fc.integer({ min: -2, max: 6 })).map(([item, priority]) => setPriority(item, priority)),
  fc.tuple(fc.option(project, { nil: null }), fc.boolean()).map(([which, isPaused]) => pause(which, isPaused)),
  fc.option(project, { nil: null }).map((which) => pause(which, false)),
  max.map(limit),
  fc.constant(limit(null)),
  fc
    .tuple(project, fc.integer({ min: 1, max: 5 }), max, fc.integer({ min: 1, max: 3 }))
    .map(([which, weight, most, keyLimit]) => configure(which, weight, most, keyLimit)),
  fc
    .tuple(project, key, fc.option(fc.integer({ min: 1, max: 3 }), { nil: null }))
    .map(([which, name, most]) => limitKey(which, name, most)),
  fc.tuple(gate, max).map(([which, most]) => limitGate(which, most)),
  fc.tuple(project, fc.boolean()).map(([which, isThere]) => setCredential(which, isThere)),
  fc.constant(tidy),
  fc.constant(check),
  fc.constant(check),
];

/** With all that holds back gone, everything ends. */
export async function comeToRest(model: ReferenceQueue, world: QueueWorld): Promise<void> {
  await world.limit(null);
  model.max = null;
  await world.resume(null);
  model.isPaused = false;
  for (const [index, each] of model.projects.entries()) {
    await world.resume(index);
    await world.configure(index, 1, null, 1);
    Object.assign(each, { isPaused: false, max: null, keyLimit: 1 });
  }
  for (const held of ['shared' as const, 0, 1, 2]) {
    await world.limitGate(held, null);
    model.gateLimits.delete(held);
  }
  // Each round ends at least one of every key.
  for (let left = model.items.size; left > 0; left -= 1) {
    for (const item of [...model.items.values()]) {
      if (item.state === 'later') await comeDue([...model.items.values()].indexOf(item)).run(model, world);
    }
    await claimAndCompare(EVERYTHING, model, world);
    for (const item of [...model.items.values()]) {
      if (item.state !== 'runs') continue;
      model.items.delete(item.index);
      await world.remove(item);
    }
    if (model.items.size === 0) break;
  }
  deepStrictEqual(model.items.size, 0, 'nothing is left over');
  deepStrictEqual(await world.check(), [], 'counters');
}
