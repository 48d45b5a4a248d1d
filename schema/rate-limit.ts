/** How much this token may still ask for. */
import { builder } from './builder.ts';

/** What an answer says of its token's budget, in points of cost. */
export interface RateLimit {
  /** A full budget. */
  readonly limit: number;
  /** What this operation has cost. */
  readonly cost: number;
  readonly remaining: number;
  /** When it is full again, if nothing more is asked. */
  readonly resetAt: Date;
}

const RateLimitRef = builder.objectRef<RateLimit>('RateLimit').implement({
  description:
    'What this token may still ask for. An operation costs its points: one for each field of each object, more for what ' +
    'is expensive to make. The budget is refilled continuously, a full one in a minute.',
  fields: (t) => ({
    limit: t.exposeInt('limit', { description: 'Points of a full budget.' }),
    cost: t.exposeInt('cost', { description: 'Points that this operation has cost.' }),
    remaining: t.exposeInt('remaining', { description: 'Points that are left.' }),
    resetAt: t.expose('resetAt', { type: 'DateTime', description: 'When it is full again, if nothing more is asked.' }),
  }),
});

builder.queryField('rateLimit', (t) =>
  t.field({
    type: RateLimitRef,
    nullable: true,
    description:
      'The budget of this token, which every answer also has in `extensions.rateLimit`; null where nothing is limited. ' +
      'Needs no scope.',
    extensions: { perRequest: true },
    resolve: (_root, _args, { rateLimit }) => rateLimit,
  }),
);
