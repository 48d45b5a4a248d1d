import { expect, test } from 'vitest';
import { SCOPES } from '../../src/auth/scope.ts';
import { can, seesProject } from '../../src/auth/viewer.ts';

test('admin may do everything, builds:write and tasks:write may read theirs, and nothing else includes another', () => {
  const rights = SCOPES.map((has) => [has, SCOPES.filter((scope) => can({ scopes: [has] }, scope))]);
  expect(rights).toEqual([
    ['builds:read', ['builds:read']],
    ['builds:write', ['builds:read', 'builds:write']],
    ['projects:write', ['projects:write']],
    ['tasks:read', ['tasks:read']],
    ['tasks:write', ['tasks:read', 'tasks:write']],
    ['work', ['work']],
    ['workers', ['workers']],
    ['stats:read', ['stats:read']],
    ['admin', [...SCOPES]],
  ]);
  expect(can({ scopes: [] }, 'builds:read')).toBe(false);
  expect(can({ scopes: ['workers', 'stats:read'] }, 'stats:read')).toBe(true);
});

test('null sees every project, a list only what is in it', () => {
  expect(seesProject({ projectIds: null }, 'a')).toBe(true);
  expect(seesProject({ projectIds: ['a'] }, 'a')).toBe(true);
  expect(seesProject({ projectIds: ['a'] }, 'b')).toBe(false);
  expect(seesProject({ projectIds: [] }, 'a')).toBe(false);
});
