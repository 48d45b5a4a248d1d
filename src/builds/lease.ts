/** How long a claim holds without a heartbeat, and how soon a dead worker's builds go on. */

/** A worker renews its builds this often. */
export const HEARTBEAT_EVERY_MS = 4_000;
/** Without a heartbeat for this long, the build is anybody's. */
export const LEASE_SECONDS = 15;
/** A worker whose heartbeats are not answered for this part of its lease ends what it runs, before others may begin it anew. */
export const CUT_OFF_SHARE = 2 / 3;
/** Every worker looks for lost builds this often: found within lease + this. */
export const RESCUE_EVERY_MS = 3_000;
/** A build whose worker died this often is not given to another. */
export const MAX_LOST_ATTEMPTS = 2;
