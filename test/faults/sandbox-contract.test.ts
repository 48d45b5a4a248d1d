/** A sandboxed run keeps every promise that a plain one does. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe } from 'vitest';
import { openLocalRuntime } from '../../src/runtimes/local.ts';
import { describeRuntime } from '../contracts/runtime.contract.ts';
import { bubblewrap, sandboxOf } from '../support/sandbox.ts';

describe.skipIf(bubblewrap === null)('with bubblewrap', () => {
  describeRuntime('local', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'slipway-sandboxed-'));
    const open = () => openLocalRuntime({ folder: join(folder, 'builds'), sandbox: sandboxOf(folder) });
    return {
      keepsHomes: true,
      guardsInbox: true,
      outlive: 'none',
      runtime: open(),
      reopen: async () => open(),
      [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
    };
  });
});
