/** What every runtime promises; `describeRuntime` is called by the test of each. */
import { describe } from 'vitest';
import { openRuntimeCase, type RuntimeUnderTest } from './runtime-case.ts';
import { describeExec } from './runtime-exec.ts';
import { describeFloods, describeOutput } from './runtime-output.ts';
import { describeAttach, describeStarts } from './runtime-runs.ts';
import { describeEnds, describeInbox } from './runtime-words-and-ends.ts';
import { describeWorkspaces } from './runtime-workspaces.ts';

/** `concurrent`: cases run beside each other, where each of them waits for something far away. */
export function describeRuntime(
  name: string,
  open: () => Promise<RuntimeUnderTest>,
  options: { readonly concurrent?: boolean } = {},
): void {
  const openCase = async () => openRuntimeCase(await open());
  const parts = [
    ...[describeWorkspaces, describeExec, describeStarts, describeOutput],
    ...[describeAttach, describeInbox, describeEnds],
  ];
  describe(`runtime ${name}`, () => {
    describe('cases', { concurrent: options.concurrent ?? false }, () => {
      for (const describePart of parts) describePart(openCase);
    });
    describeFloods(openCase);
  });
}
