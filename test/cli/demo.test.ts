import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startSlipway } from './slipway-process.ts';

test('the demo ends well, proves what it says, and leaves nothing behind', async () => {
  const temporary = await mkdtemp(join(tmpdir(), 'slipway-demo-test-'));
  // What a user has set for another Slipway is not touched.
  const environment = { TMPDIR: temporary, SLIPWAY_DATABASE_URL: 'postgres://127.0.0.1:1/not-this-one' };
  const demo = startSlipway(['demo', '--json'], environment);
  expect(await demo.ended, demo.stderr).toBe(0);
  const report = JSON.parse(demo.stdout) as Record<string, unknown>;
  expect(report).toMatchObject({
    status: 'COMPLETED',
    commitSha: expect.stringMatching(/^[0-9a-f]{40}$/),
    filesChanged: ['NOTES.md', 'demo/index.html'],
    callback: { deliveryId: expect.stringMatching(/^msg_/), verified: true },
  });
  expect(report.events).toBeGreaterThan(10);
  expect(await readdir(temporary)).toEqual([]);
  process.stdout.write(`demo: ${report.seconds} s\n`);
  await rm(temporary, { recursive: true, force: true });
}, 60_000);
