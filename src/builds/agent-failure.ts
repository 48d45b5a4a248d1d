import type { AgentOutcome, AgentReason } from '../agents/agent.ts';
import { type BuildFailure, type FailureReason, failure } from './build-result.ts';

const REASONS: Readonly<Record<AgentReason, FailureReason>> = {
  completed: 'AGENT_ERROR',
  max_turns: 'MAX_TURNS',
  budget: 'BUDGET_EXCEEDED',
  auth: 'PROVIDER_AUTH',
  billing: 'PROVIDER_QUOTA',
  rate_limit: 'PROVIDER_QUOTA',
  overloaded: 'PROVIDER_OVERLOADED',
  server_error: 'PROVIDER_OVERLOADED',
  network: 'PROVIDER_OVERLOADED',
  context_overflow: 'CONTEXT_EXHAUSTED',
  output_truncated: 'AGENT_ERROR',
  refusal: 'AGENT_REFUSED',
  permission: 'PERMISSION_DENIED',
  not_found: 'AGENT_ERROR',
  config: 'INVALID_SPEC',
  unavailable: 'PROVIDER_UNAVAILABLE',
  cancelled: 'AGENT_ERROR',
  timeout: 'TIMEOUT',
  idle: 'IDLE_TIMEOUT',
  output_limit: 'OUTPUT_TOO_LARGE',
  crash: 'AGENT_ERROR',
  agent_error: 'AGENT_ERROR',
  unknown: 'AGENT_ERROR',
};

/** Of an agent that did not succeed. */
export function agentFailure(outcome: AgentOutcome, provider: string): BuildFailure {
  const message = outcome.message ?? `The agent ${provider} did not succeed (${outcome.reason}).`;
  return failure(REASONS[outcome.reason], 'AGENT', message);
}
