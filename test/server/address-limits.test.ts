import { expect, it } from 'vitest';
import { AddressLimits } from '../../src/server/address-limits.ts';

function openLimits(perMinute: number) {
  const clock = { ms: 0 };
  const limits = new AddressLimits({ perMinute, now: () => clock.ms });
  const refuse = (address: string, times: number) => {
    for (let count = 0; count < times; count += 1) limits.recordRefusal(address);
  };
  return { clock, limits, refuse };
}

it('lets an address be wrong so often in a minute, and forgets it one by one', () => {
  const { clock, limits, refuse } = openLimits(60);
  refuse('192.0.2.1', 59);
  expect(limits.wait('192.0.2.1')).toBe(0);
  refuse('192.0.2.1', 1);
  expect(limits.wait('192.0.2.1')).toBe(1);
  expect(limits.wait('192.0.2.2')).toBe(0);
  clock.ms += 1_000;
  expect(limits.wait('192.0.2.1')).toBe(0);
  refuse('192.0.2.1', 10);
  expect(limits.wait('192.0.2.1')).toBe(10);
});

it('takes the 2^64 addresses of an IPv6 network for one, and those of IPv4 each for itself', () => {
  const { limits, refuse } = openLimits(5);
  refuse('2001:db8:0:7::1', 3);
  refuse('2001:db8:0:7:aaaa:bbbb:cccc:dddd', 2);
  expect(limits.wait('2001:db8::7:1:2:3:4')).toBeGreaterThan(0);
  expect(limits.wait('2001:db8:0:8::1')).toBe(0);
  refuse('::ffff:192.0.2.1', 5);
  expect(limits.wait('::ffff:192.0.2.1')).toBeGreaterThan(0);
  expect(limits.wait('::ffff:192.0.2.2')).toBe(0);
  refuse('::1', 5);
  expect(limits.wait('::1')).toBeGreaterThan(0);
});

it('remembers a bounded number of addresses', () => {
  const { limits, refuse } = openLimits(1);
  refuse('first', 1);
  for (let count = 0; count < 10_000; count += 1) refuse(`10.${count >> 8}.${count & 255}.1`, 1);
  expect(limits.wait('first')).toBe(0);
  expect(limits.wait('10.39.15.1')).toBeGreaterThan(0);
});

it('limits nobody with 0', () => {
  const { limits, refuse } = openLimits(0);
  refuse('192.0.2.1', 100);
  expect(limits.wait('192.0.2.1')).toBe(0);
});
