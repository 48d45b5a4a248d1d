/** Bubblewrap, where this machine lets it work: else the tests that need it are skipped and say why. */
import { findSandbox } from '../../src/runtimes/sandbox.ts';
import type { SandboxOptions } from '../../src/runtimes/sandbox-command.ts';

const FIXTURES = new URL('../fixtures/bin', import.meta.url).pathname;

const found = await findSandbox('bubblewrap');

export const bubblewrap = found.kind === 'none' ? null : found;

if (found.kind === 'none') process.stderr.write(`Skipped: ${found.reason} ${found.remedy}\n`);

/** `hidden` is the data folder. */
export function sandboxOf(hidden: string): SandboxOptions {
  if (bubblewrap === null) throw new Error('There is no bubblewrap: this test is to be skipped.');
  return { bubblewrap, readable: [FIXTURES], hidden };
}
