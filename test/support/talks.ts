/** What the tests of talking to a running agent share. */
import type { AgentEvent } from '../../src/agents/agent.ts';
import { waitFor } from './wait-for.ts';

export type Asked = Extract<AgentEvent, { type: 'asked' }>;

/** The agent's requests so far, in order. */
export function requestsOf(events: readonly AgentEvent[]): Asked[] {
  return events.filter((event) => event.type === 'asked');
}

/** Waits for the `number`-th request of the run, counted from 1. */
export async function nthRequest(events: readonly AgentEvent[], number: number): Promise<Asked> {
  const found = await waitFor(() => requestsOf(events)[number - 1], { deadlineMs: 60_000, what: `request ${number}` });
  if (!found) throw new Error(`There is no request ${number}.`);
  return found;
}

/** The ids of the requests that are closed. */
export function closedIn(events: readonly AgentEvent[]): string[] {
  return events.flatMap((event) => (event.type === 'request_closed' ? [event.requestId] : []));
}

/** The statuses of the tools that have ended. */
export function resultsIn(events: readonly AgentEvent[]): string[] {
  return events.flatMap((event) =>
    event.type === 'activity' && event.content.kind === 'tool_result' ? [event.content.status] : [],
  );
}

export function allow(id: string, always = false) {
  return { type: 'decision', id, allow: true, always, message: null } as const;
}

export function deny(id: string, message: string | null = null) {
  return { type: 'decision', id, allow: false, always: false, message } as const;
}
