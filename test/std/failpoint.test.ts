import { afterEach, describe, expect, test } from 'vitest';
import { ConfigError, readConfig } from '../../src/config/config.ts';
import { armFailpoints, FAILPOINTS, failpoint, parseFailpoints } from '../../src/std/failpoint.ts';

afterEach(() => armFailpoints([]));

const arm = (text: string) => armFailpoints(parseFailpoints(text));

describe('what is armed', () => {
  test('several points, faults and passes', () => {
    expect(parseFailpoints('publish.pushed=kill, notify.sent=delay:50@3')).toEqual([
      { point: 'publish.pushed', fault: { kind: 'kill' }, pass: 1 },
      { point: 'notify.sent', fault: { kind: 'delay', milliseconds: 50 }, pass: 3 },
    ]);
    expect(parseFailpoints('')).toEqual([]);
  });

  test('a point that does not exist is refused with the list of those that do', () => {
    expect(() => readConfig({ SLIPWAY_FAILPOINTS: 'push.sent=kill' })).toThrow(ConfigError);
    for (const text of ['there is no point push.sent', ...FAILPOINTS]) {
      expect(() => readConfig({ SLIPWAY_FAILPOINTS: 'push.sent=kill' })).toThrow(text);
    }
  });

  test.each(['notify.sent', 'notify.sent=explode', 'notify.sent=kill:5', 'notify.sent=delay', 'notify.sent=spin:0'])(
    '%s is refused with the faults that there are',
    (text) => {
      expect(() => parseFailpoints(text)).toThrow('kill, pause, fail, reset, delay:MS or spin:MS');
    },
  );

  test.each(['notify.sent=delay:120001', 'notify.sent=fail@0', 'notify.sent=fail@'])('%s is out of bounds', (text) => {
    expect(() => parseFailpoints(text)).toThrow(text);
  });
});

describe('a point', () => {
  test('is nothing while nothing is armed', () => {
    expect(failpoint('notify.sent')).toBeUndefined();
  });

  test('fails once, at its pass, and no other does', async () => {
    arm('notify.sent=fail@2');
    await failpoint('notify.sent');
    await failpoint('notify.begin');
    await expect(failpoint('notify.sent')).rejects.toThrow('failpoint notify.sent');
    await failpoint('notify.sent');
  });

  test('breaks like a connection', async () => {
    arm('notify.sent=reset');
    await expect(failpoint('notify.sent')).rejects.toMatchObject({ code: 'ECONNRESET' });
  });

  test('waits, or keeps the process from everything else', async () => {
    arm('notify.begin=delay:30,notify.sent=spin:30');
    const at = performance.now();
    let turns = 0;
    const turn = setInterval(() => {
      turns += 1;
    }, 1);
    const before = turns;
    const spun = failpoint('notify.sent');
    expect(performance.now() - at).toBeGreaterThanOrEqual(29);
    expect(turns).toBe(before);
    await spun;
    await failpoint('notify.begin');
    clearInterval(turn);
    expect(performance.now() - at).toBeGreaterThanOrEqual(58);
    expect(turns).toBeGreaterThan(0);
  });
});

test('no two points have the same name', () => {
  expect(new Set(FAILPOINTS).size).toBe(FAILPOINTS.length);
});
