import { expect, test } from 'vitest';
import { nextId, randomHex } from '../../src/std/random-ids.ts';

test('ids are UUIDv7 of now, each greater than the one before', () => {
  const before = Date.now();
  const ids = Array.from({ length: 20_000 }, nextId);
  const after = Date.now();
  const form = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
  expect(ids.filter((id) => !form.test(id))).toEqual([]);
  expect(ids).toEqual([...new Set(ids)].sort());
  const times = ids.map((id) => Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16));
  expect(Math.min(...times)).toBeGreaterThanOrEqual(before);
  expect(Math.max(...times)).toBeLessThanOrEqual(after);
  // The last 40 bits are drawn for each.
  expect(new Set(ids.map((id) => id.slice(-10))).size).toBeGreaterThan(19_990);
});

test('random digits are of the length that is asked for, and no two are the same', () => {
  const drawn = Array.from({ length: 5_000 }, () => randomHex(24));
  expect(drawn.every((digits) => /^[0-9a-f]{48}$/.test(digits))).toBe(true);
  expect(new Set(drawn).size).toBe(5_000);
});
