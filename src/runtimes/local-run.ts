import { lstat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { workspaceMark } from './build-mark.ts';
import type { Redact } from './redact.ts';
import { appendToInbox, findSupervisor, type RunFiles, readExitStatus, readNotices } from './run-files.ts';
import type { Run } from './runtime.ts';
import { signalGroup } from './signal-group.ts';
import { signalSandbox } from './signal-sandbox.ts';
import { sweepProcesses } from './sweep-processes.ts';
import { tailOutput } from './tail-output.ts';

const POLL_MS = 20;

/** A run on this machine, started by whichever process: everything is asked of its files. */
export function openLocalRun({ files, redact }: { files: RunFiles; redact: Redact }): Run {
  const mark = workspaceMark(dirname(files.folder));
  return {
    read: (from, signal) =>
      tailOutput({ files, redact, from, signal, hasEnded: async () => (await readExitStatus(files)) !== null }),
    async outputBytes() {
      const sizes = [files.stdout, files.stderr].map((file) =>
        lstat(file).then(
          ({ size }) => size,
          () => 0,
        ),
      );
      return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
    },
    notices: async () => (await readNotices(files)).map((line) => redact(line)),
    exitStatus: () => readExitStatus(files),
    send: (line) => appendToInbox(files, line),
    async stop({ graceMs }) {
      const leader = await findSupervisor(files);
      if (leader !== null) {
        // Bubblewrap would heed it and take the program with it at once.
        if (!(await signalSandbox(mark, 'SIGTERM'))) signalGroup(leader, 'SIGTERM');
        await waitForEnd(files, graceMs);
        if ((await findSupervisor(files)) !== null) signalGroup(leader, 'SIGKILL');
      }
      await sweepProcesses(mark);
    },
  };
}

async function waitForEnd(files: RunFiles, graceMs: number): Promise<void> {
  const deadline = performance.now() + graceMs;
  while (performance.now() < deadline && (await readExitStatus(files)) === null) await delay(POLL_MS);
}
