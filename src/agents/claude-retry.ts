import type { AgentEvent } from './agent.ts';
import { apiReason } from './api-reason.ts';
import { type JsonFields, numberOf } from './json-fields.ts';
import { nameOf } from './line-events.ts';

/** Claude Code's `system/api_retry`: the provider refused it, and it will try again. */
export function readClaudeRetry(fields: JsonFields): Extract<AgentEvent, { type: 'retry' }> {
  const status = numberOf(fields.error_status);
  const error = nameOf(fields.error) ?? 'unknown';
  const reason = status === null && error === 'unknown' ? 'network' : apiReason({ status, error, text: '' });
  const message = `The provider ${status === null ? 'was not reached' : `answered ${status}`} (${error}).`;
  return { type: 'retry', reason, message, attempt: numberOf(fields.attempt) };
}
