/** An agent is told not to, and does what it likes with its repository all the same: git sees its work and what it moved. */
import { expect } from 'vitest';
import { agentMovedHead } from '../../src/git/agent-repository.ts';
import { readWorkTreeChanges } from '../../src/git/commit-changes.ts';
import { runToEnd } from '../support/agent-runs.ts';
import { openCheckout } from '../support/checkouts.ts';
import type { AgentSuite } from './agent-harness.ts';

export function describeGit({ harness, play, bench }: AgentSuite): void {
  async function expectNoticed(script: string): Promise<void> {
    const opened = await bench();
    const { git, baseSha } = await openCheckout(opened.workspace, opened);
    expect(await agentMovedHead(git, baseSha)).toBe(false);
    const { outcome } = await runToEnd(harness.agent(), opened.task({ prompt: harness.prompt(script) }));
    expect(outcome).toMatchObject({ status: 'succeeded', reason: 'completed' });
    expect(await agentMovedHead(git, baseSha)).toBe(true);
    const changes = await readWorkTreeChanges(git, { baseSha });
    expect(changes).toMatchObject({ ok: true, filesChanged: [{ path: 'new.txt', status: 'ADDED' }] });
  }

  play('commits by itself', () => expectNoticed('commits'));
  play('moves HEAD and branches', () => expectNoticed('moves'));
}
