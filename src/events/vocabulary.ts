/** Words that events, builds and the API share. */

export const BUILD_STATUSES = ['PENDING', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED'] as const;
export type BuildStatus = (typeof BUILD_STATUSES)[number];

/** Where a running build is, in this order; QUEUED exactly while PENDING, DONE exactly when finished. */
const BUILD_PHASES = ['QUEUED', 'PREPARING', 'AGENT', 'VERIFYING', 'PUBLISHING', 'COLLECTING', 'DONE'] as const;
export type BuildPhase = (typeof BUILD_PHASES)[number];

/**
 * When the agent is given a message. QUEUE: after its turn. STEER: within its turn, between two steps. INTERRUPT: at once,
 * and what it is doing is broken off.
 */
export const MESSAGE_MODES = ['QUEUE', 'STEER', 'INTERRUPT'] as const;
export type MessageMode = (typeof MESSAGE_MODES)[number];

/** UNDELIVERED: the build has ended without it. */
const MESSAGE_STATES = ['PENDING', 'DELIVERED', 'UNDELIVERED'] as const;
export type MessageState = (typeof MESSAGE_STATES)[number];

/** EXPIRED: nobody answered in time, the default was given. WITHDRAWN: the agent does not wait for an answer any more. */
const QUESTION_STATES = ['OPEN', 'ANSWERED', 'APPROVED', 'REJECTED', 'EXPIRED', 'WITHDRAWN'] as const;
export type QuestionState = (typeof QUESTION_STATES)[number];
