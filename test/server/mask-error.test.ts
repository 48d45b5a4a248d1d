import { GraphQLError } from 'graphql';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import { createErrorMask } from '../../src/server/mask-error.ts';

function openMask() {
  const lines: { level: number; msg: string }[] = [];
  const logger = pino({ level: 'debug' }, { write: (line) => void lines.push(JSON.parse(line)) });
  return { mask: createErrorMask(logger), lines };
}

it('says an outage once, however many are told of it', () => {
  const { mask, lines } = openMask();
  for (let count = 0; count < 100; count += 1) {
    const error = Object.assign(new Error('connect ECONNREFUSED 10.0.0.1:5432'), { code: 'ECONNREFUSED' });
    expect(mask(error).extensions).toEqual({ code: 'UNAVAILABLE', retryable: true });
  }
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatchObject({ msg: 'the database could not be reached' });
});

it('logs every defect, each under its id', () => {
  const { mask, lines } = openMask();
  for (let count = 0; count < 3; count += 1) mask(new Error('secret'));
  expect(lines).toHaveLength(3);
});

it('does not repeat to a caller all that he has sent', () => {
  const { mask } = openMask();
  const { message } = mask(new GraphQLError(`Variable "$input" has invalid value: ${'\u{1f600}'.repeat(100_000)}`));
  expect(message.length).toBeLessThan(1_100);
  expect(message).toMatch(/^Variable "\$input".* …$/su);
  expect(message.isWellFormed()).toBe(true);
});
