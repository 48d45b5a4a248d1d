/** The clocks that end an agent. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type AgentClocks, startAgentClocks } from '../../src/builds/agent-clocks.ts';

const LIMITS = { wallSeconds: 60, silenceSeconds: 10, lingerSeconds: 5 };

let rung: string[] = [];

beforeEach(() => {
  vi.useFakeTimers();
  rung = [];
});
afterEach(() => {
  vi.useRealTimers();
});

function start(askedSince: Date | null = null): AgentClocks {
  return startAgentClocks({ limits: LIMITS, startedAt: new Date(), askedSince, stop: (why) => rung.push(why) });
}

test('while people are asked no clock runs, and the time that they take is not the agent’s', () => {
  const clocks = start();
  vi.advanceTimersByTime(9_000);
  clocks.hold();
  vi.advanceTimersByTime(600_000);
  expect(rung).toEqual([]);
  expect(clocks.release()).toBe(600_000);
  for (let seconds = 9; seconds < 60; seconds += 3) {
    clocks.pause();
    clocks.resume();
    vi.advanceTimersByTime(3_000);
  }
  expect(rung).toEqual(['wall_limit']);
  clocks.stop();
});

test('once stopped they are stopped for good: the next run of the agent is in the same place', () => {
  const clocks = start();
  clocks.hold();
  clocks.stop();
  clocks.release();
  clocks.resume();
  vi.advanceTimersByTime(3_600_000);
  expect(rung).toEqual([]);
  expect(vi.getTimerCount()).toBe(0);
});
