import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import type { OpenCase } from './runtime-case.ts';

export function describeWorkspaces(openCase: OpenCase): void {
  describe('workspace', () => {
    test('is opened again as it was left, and listed', async () => {
      await using opened = await openCase();
      const { underTest, workspace, build, listed, write, readText } = opened;
      await write(join(workspace.paths.work, 'file'), 'kept');
      const again = await (await underTest.reopen()).open(build);
      expect(again.paths).toEqual(workspace.paths);
      expect(await readText(join(again.paths.work, 'file'))).toBe('kept');
      expect(await listed()).toEqual([{ buildId: build, closed: false }]);
    });

    test('files are written into the checkout, with their folders', async () => {
      await using opened = await openCase();
      const { workspace, there } = opened;
      const content = Buffer.from('#!/bin/sh\n');
      await workspace.write([{ path: 'bin/deep/run', content, executable: true }]);
      await workspace.write([{ path: 'README.md', content, executable: false }]);
      expect(await buffer(workspace.read(join(workspace.paths.work, 'bin/deep/run')))).toEqual(content);
      const modes = ['bin/deep/run', 'README.md'].map((path) =>
        there('test -x "$1"', join(workspace.paths.work, path)),
      );
      expect((await Promise.all(modes)).map((found) => found !== null)).toEqual([true, false]);
    });

    test('a file is read whole, whatever its size; what is no file is refused', async () => {
      await using opened = await openCase();
      const { workspace, there } = opened;
      const path = join(workspace.paths.work, 'large');
      await there('head -c 3000001 /dev/zero | tr "\\0" x >"$1"; ln -s "$1" "$1.link"', path);
      expect((await buffer(workspace.read(path))).equals(Buffer.alloc(3_000_001, 'x'))).toBe(true);
      // To the root of the machine, or of the container.
      await there('ln -s / "$1"', `${path}.folder`);
      for (const other of [`${path}.link`, workspace.paths.work, `${path}.missing`, `${path}.folder/etc/passwd`]) {
        await expect(buffer(workspace.read(other))).rejects.toThrow();
      }
    });

    test('the home of one build is copied to another, if there is one', async () => {
      await using opened = await openCase();
      const { underTest, runtime, workspace, build, write } = opened;
      const other = `${build}-other`;
      expect(await runtime.copyHome(`${build}-nobody`, other)).toBe(false);
      if (!underTest.keepsHomes) return;
      expect(await runtime.copyHome(build, other)).toBe(false);
      await write(join(workspace.paths.home, 'session'), 'kept');
      expect(await runtime.copyHome(build, other)).toBe(true);
      const copy = await runtime.open(other);
      expect(await buffer(copy.read(join(copy.paths.home, 'session')))).toEqual(Buffer.from('kept'));
      await runtime.close(other, { keepHome: false });
    });

    test('close keeps home if asked and if it can, then removes everything; both may be repeated', async () => {
      await using opened = await openCase();
      const { underTest, runtime, workspace, build, there, listed, exists, write, readText } = opened;
      const { paths } = workspace;
      await write(join(paths.home, 'session'), 'kept');
      await write(join(paths.home, 'token'), 'secret');
      await there('mkdir "$1" && touch "$1/file" && chmod 500 "$1"', join(paths.work, 'closed'));
      for (let i = 0; i < 2; i++) await runtime.close(build, { keepHome: true, forget: ['token'] });
      if (underTest.keepsHomes) {
        expect(await listed()).toEqual([{ buildId: build, closed: true }]);
        await runtime.open(build);
        expect(await readText(join(paths.home, 'session'))).toBe('kept');
        expect(await exists(join(paths.home, 'token'))).toBe(false);
      } else expect(await listed()).toEqual([]);
      for (let i = 0; i < 2; i++) await runtime.close(build, { keepHome: false });
      expect(await listed()).toEqual([]);
      await runtime.open(build);
      for (const path of [join(paths.work, 'closed'), join(paths.home, 'session')])
        expect(await exists(path)).toBe(false);
    });

    test.each(['', '..', '../x', 'a/b', 'a\0', '.hidden', '-rf'])('refuses the build id %j', async (id) => {
      await using opened = await openCase();
      const { runtime } = opened;
      await expect(runtime.open(id)).rejects.toThrow('build id');
      await expect(runtime.sweep(id)).rejects.toThrow('build id');
    });
  });
}
