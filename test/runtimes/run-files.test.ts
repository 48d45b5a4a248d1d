/** The files of a run, where the machine does not take all that is written. */
import { execFileSync } from 'node:child_process';
import { constants } from 'node:fs';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { appendToInbox, runFiles } from '../../src/runtimes/run-files.ts';

test('a word that does not fit is an error, not half a word', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-run-files-'));
  try {
    const files = runFiles(folder);
    // A pipe that nobody empties takes the beginning of a long line only, as a full disk does.
    execFileSync('mkfifo', [files.inbox]);
    const reader = await open(files.inbox, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      await appendToInbox(files, 'short');
      await expect(appendToInbox(files, 'x'.repeat(300_000))).rejects.toThrow('EAGAIN');
    } finally {
      await reader.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
