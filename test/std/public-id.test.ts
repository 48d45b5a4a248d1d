import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fromPublicId, toPublicId } from '../../src/std/public-id.ts';

test('what was written is read back, and only as its own type', () => {
  fc.assert(
    fc.property(fc.uuid(), (uuid) => {
      const text = toPublicId('build', uuid);
      expect(text).toMatch(/^build_[0-9a-f]{32}$/);
      expect(fromPublicId('build', text)).toBe(uuid);
      expect(fromPublicId('project', text)).toBeNull();
    }),
  );
});

test.each([
  '',
  'build_',
  'build_0199',
  'build_0199f3a0-0000-7000-8000-000000000000',
  'build_0199F3A0000070008000000000000000',
  'build_0199f3a00000700080000000000000000',
  ' build_0199f3a0000070008000000000000000',
  'build_0199f3a0000070008000000000000000\n',
  'build_0199f3a000007000800000000000000g',
  '0199f3a0-0000-7000-8000-000000000000',
])('%j is not the id of a build', (text) => {
  expect(fromPublicId('build', text)).toBeNull();
});
