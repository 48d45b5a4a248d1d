import { access, chmod, mkdir, mkdtemp, rename, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { removeFolders } from '../../src/std/remove-folders.ts';

test('removes read-only folders, paths that are too deep for a system call, and not what links point to', async () => {
  const root = await mkdtemp(join(tmpdir(), 'slipway-remove-'));
  const [outside, doomed] = [join(root, 'outside'), join(root, '-rf')];
  await mkdir(outside);
  await mkdir(join(doomed, 'closed', 'inner'), { recursive: true });
  await writeFile(join(doomed, 'closed', 'inner', 'file'), 'x');
  await symlink(outside, join(doomed, 'link'));
  const names = Array<string>(15).fill('d'.repeat(200));
  await mkdir(join(root, 'lower', ...names), { recursive: true });
  await mkdir(join(doomed, ...names), { recursive: true });
  await rename(join(root, 'lower'), join(doomed, ...names, 'lower'));
  await chmod(join(doomed, 'closed', 'inner'), 0o000);
  await chmod(join(doomed, 'closed'), 0o500);
  await chmod(outside, 0o500);
  await removeFolders([doomed, join(root, 'missing')]);
  await expect(access(doomed)).rejects.toThrow('ENOENT');
  await access(outside);
  await removeFolders([root]);
});
