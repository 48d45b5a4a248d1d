/** Words that events, builds and the API share. */

const BUILD_STATUSES = ['PENDING', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED'] as const;
export type BuildStatus = (typeof BUILD_STATUSES)[number];

/** Where a running build is, in this order; QUEUED exactly while PENDING, DONE exactly when finished. */
const BUILD_PHASES = ['QUEUED', 'PREPARING', 'AGENT', 'VERIFYING', 'PUBLISHING', 'COLLECTING', 'DONE'] as const;
export type BuildPhase = (typeof BUILD_PHASES)[number];
