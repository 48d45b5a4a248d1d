/** A worker's row and claim without a worker: it never beats and never runs anything. */
import { v7 } from 'uuid';
import type { ClaimedBuild } from '../../src/builds/build.ts';
import { type Claimer, claimBuilds } from '../../src/builds/claim-builds.ts';
import { registerWorker } from '../../src/workers/registry.ts';
import type { TestStack } from './orchestrator.ts';

/** Registers a worker at this place; another one than the stack's is another machine. */
export async function registerByHand(stack: TestStack, place = stack.orchestrator.runtime.place): Promise<string> {
  const id = v7();
  const worker = { id, name: 'by hand', place, version: '1', capacity: 9, agents: [] };
  await registerWorker(stack.orchestrator.db, worker);
  return id;
}

/** Who may run any build with a scripted agent. */
export function claimer(workerId: string): Claimer {
  return { workerId, workerName: 'by hand', labels: ['provider:scripted'], projectIds: null };
}

/** Claims the build that is next. */
export async function claimByHand(stack: TestStack, workerId: string): Promise<ClaimedBuild> {
  const [claimed] = await claimBuilds(stack.orchestrator, claimer(workerId), 1);
  if (!claimed) throw new Error('nothing was claimed');
  return claimed;
}
