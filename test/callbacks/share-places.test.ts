import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Placed, sharePlaces } from '../../src/callbacks/share-places.ts';

const of = (projectId: string, hosts: readonly string[]): Placed[] => hosts.map((host) => ({ projectId, host }));
const many = (projectId: string, count: number) =>
  of(
    projectId,
    Array.from({ length: count }, (_, index) => `${projectId}-${index}`),
  );
const count = (chosen: readonly Placed[], projectId: string) =>
  chosen.filter((placed) => placed.projectId === projectId).length;
const LIMITS = { places: 64, perHost: 4 };

test('one project alone gets a quarter of the places, several get an equal share, and some are always left', () => {
  expect(sharePlaces(many('a', 100), [], LIMITS)).toHaveLength(16);
  const two = sharePlaces([...many('a', 100), ...many('b', 100)], [], LIMITS);
  expect([count(two, 'a'), count(two, 'b')]).toEqual([13, 13]);
  const twenty = Array.from({ length: 20 }, (_, index) => many(`p${index}`, 100)).flat();
  expect(64 - sharePlaces(twenty, [], LIMITS).length).toBeGreaterThanOrEqual(3);
});

test('whoever comes later finds a place, though others need ever more', () => {
  let sending: Placed[] = [];
  for (let project = 0; project < 10; project += 1) {
    const waiting = Array.from({ length: project + 1 }, (_, index) => many(`p${index}`, 100)).flat();
    const chosen = sharePlaces(waiting, sending, LIMITS);
    expect(count(chosen, `p${project}`)).toBeGreaterThan(0);
    sending = [...sending, ...chosen];
  }
});

test('a host has its limit, and one that is full stands in nobody else’s way', () => {
  const due = [...of('a', Array(10).fill('slow')), ...of('a', ['fast'])];
  expect(sharePlaces(due, of('b', Array(3).fill('slow')), LIMITS)).toEqual(of('a', ['slow', 'fast']));
});

test('the limits hold for whatever is due, in the order of time within a project', () => {
  const placed = fc.record({ projectId: fc.constantFrom('a', 'b', 'c'), host: fc.constantFrom('x', 'y', 'z') });
  const limits = fc.record({ places: fc.integer({ min: 1, max: 20 }), perHost: fc.integer({ min: 1, max: 4 }) });
  fc.assert(
    fc.property(fc.array(placed), fc.array(placed, { maxLength: 8 }), limits, (due, sending, { places, perHost }) => {
      const chosen = sharePlaces(due, sending, { places, perHost });
      expect(new Set(chosen).size).toBe(chosen.length);
      expect(chosen.length).toBeLessThanOrEqual(Math.max(0, places - sending.length));
      for (const host of new Set(chosen.map((one) => one.host))) {
        const all = [...sending, ...chosen].filter((one) => one.host === host);
        const before = sending.filter((one) => one.host === host).length;
        expect(all.length).toBeLessThanOrEqual(Math.max(perHost, before));
      }
      // Nobody waits while there is a place that is his: of a project without any, one is always taken.
      const free = places - sending.length - chosen.length;
      for (const one of due.filter((each) => !chosen.includes(each))) {
        const own = count([...sending, ...chosen], one.projectId);
        const atHost = [...sending, ...chosen].filter(({ host }) => host === one.host).length;
        expect(own * 3 >= free || atHost >= perHost || free <= 0).toBe(true);
      }
    }),
  );
});
