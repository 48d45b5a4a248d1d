import type { AgentTask } from '../agents/agent.ts';
import { findExceeded } from './agent-caps.ts';
import { smaller } from './budget.ts';
import { failure } from './build-result.ts';
import { completeLimits } from './build-spec.ts';
import { BuildFailedError, type RunningBuild } from './running-build.ts';

/** An agent takes no limit of nothing; what is less is ours to notice. */
const LEAST_USD = 0.0001;

/** What a run of the agent may use that begins now: of the build's caps and the day's budget what is left of them. */
export async function leftOfLimits(running: RunningBuild): Promise<AgentTask['limits']> {
  const { build, ledger } = running;
  const { maxTurns, maxCostUsd } = completeLimits(build.spec.limits);
  const { leftUsd } = await running.ledger.ask('dayBudget');
  const used = ledger.checkpoint.earlierUsage;
  const leftOfCost = maxCostUsd === null ? null : maxCostUsd - (used?.costUsd ?? 0);
  const cost = smaller(leftOfCost, leftUsd);
  return {
    maxTurns: maxTurns === null ? null : Math.max(1, maxTurns - (used?.turns ?? 0)),
    maxCostUsd: cost === null ? null : Math.max(LEAST_USD, cost),
  };
}

/** Throws BuildFailedError when the build, or its project, has nothing left for another run of the agent. */
export async function refuseWithoutBudget(running: RunningBuild): Promise<void> {
  const { build, ledger } = running;
  const { usedUp } = await running.ledger.ask('dayBudget');
  const exceeded = ledger.usage && findExceeded(completeLimits(build.spec.limits), ledger.usage);
  if (usedUp ?? exceeded) {
    throw new BuildFailedError(failure('BUDGET_EXCEEDED', ledger.phase, usedUp ?? exceeded?.message ?? ''));
  }
}
