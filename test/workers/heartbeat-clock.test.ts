import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { HeartbeatClock } from '../../src/workers/heartbeat-clock.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'Date'] });
});

afterEach(() => {
  vi.useRealTimers();
});

/** Beats every four seconds. */
function live(clock: HeartbeatClock, seconds: number): void {
  for (let passed = 0; passed < seconds; passed += 4) {
    vi.advanceTimersByTime(4_000);
    clock.answered(performance.now());
  }
}

test('a worker is cut off at two thirds of its lease, and holds it to the end', () => {
  const clock = new HeartbeatClock();
  clock.answered(performance.now());
  const seen: string[] = [];
  for (let second = 1; second <= 16; second += 1) {
    vi.advanceTimersByTime(1_000);
    clock.failed(new Error('Query read timeout'));
    seen.push(`${clock.isCutOff ? 'cut off' : 'fine'}${clock.holdsLeases ? '' : ', lost'}`);
  }
  expect(seen).toEqual([...Array(9).fill('fine'), ...Array(5).fill('cut off'), ...Array(2).fill('cut off, lost')]);
});

test('a lease counts from when the heartbeat was sent', () => {
  const clock = new HeartbeatClock();
  const sentAt = performance.now();
  vi.advanceTimersByTime(3_000);
  clock.answered(sentAt);
  vi.advanceTimersByTime(7_000);
  expect(clock.isCutOff).toBe(true);
});

test.each(['ECONNREFUSED', '57P03'])('a database that is closed for everybody (%s) cuts nobody off', (code) => {
  const clock = new HeartbeatClock();
  for (let second = 0; second < 60; second += 1) {
    vi.advanceTimersByTime(1_000);
    clock.failed(Object.assign(new Error('closed'), { code }));
  }
  expect(clock.isCutOff).toBe(false);
  expect(clock.mayJudgeOthers).toBe(false);
  clock.answered(performance.now());
  live(clock, 8);
  expect(clock.mayJudgeOthers).toBe(false);
  live(clock, 8);
  expect(clock.mayJudgeOthers).toBe(true);
});

test.each([3_600_000, -3_600_000, 86_400_000, -86_400_000])(
  'a jump of the day’s clock by %i ms cuts nobody off',
  (ms) => {
    const clock = new HeartbeatClock();
    live(clock, 20);
    vi.setSystemTime(Date.now() + ms);
    expect(clock.isCutOff).toBe(false);
    expect(clock.holdsLeases).toBe(true);
    clock.answered(performance.now());
    // At most as long as after an outage, never an hour.
    live(clock, 16);
    expect(clock.mayJudgeOthers).toBe(true);
  },
);

test('who was away judges nobody before he has beaten for a whole lease', () => {
  const clock = new HeartbeatClock();
  live(clock, 20);
  vi.advanceTimersByTime(40_000);
  expect(clock.holdsLeases).toBe(false);
  expect(clock.mayJudgeOthers).toBe(false);
  clock.answered(performance.now());
  expect(clock.mayJudgeOthers).toBe(false);
  live(clock, 16);
  expect(clock.mayJudgeOthers).toBe(true);
});

test.each(['ECONNRESET', '57P01'])('a heartbeat that failed (%s) and was repeated at once costs nothing', (code) => {
  const clock = new HeartbeatClock();
  live(clock, 20);
  for (let again = 0; again < 10; again += 1) {
    vi.advanceTimersByTime(4_000);
    clock.failed(Object.assign(new Error('the connection was cut'), { code }));
    vi.advanceTimersByTime(1_000);
    clock.answered(performance.now());
    // Nobody else can have lost his lease in so short a time.
    expect(clock.mayJudgeOthers).toBe(true);
  }
  // In a longer one he can.
  vi.advanceTimersByTime(8_500);
  clock.answered(performance.now());
  expect(clock.mayJudgeOthers).toBe(false);
});
