/** What one operation may ask for. The server adds the limits that can be checked before execution. */

/** Nested selections. */
export const MAX_DEPTH = 12;

/**
 * One point is one field of one object. `builds(first: 100)` with 20 fields, the project and the whole result is about
 * 4,500 points.
 */
export const MAX_COMPLEXITY = 5_000;

/** Items of one page, and how many there are when neither `first` nor `last` is given. */
export const MAX_PAGE = 100;
export const DEFAULT_PAGE = 20;

/** Ids of one `nodes` query. */
export const MAX_NODES = 100;

/** Each log is read and decompressed by itself, so a list of builds must not ask for all of theirs. */
export const LOG_COMPLEXITY = 500;

/** A dry run answers with the whole prompt and may ask an agent for its version in a process of its own. */
export const VALIDATION_COMPLEXITY = 1_000;

/** Statistics read many rows. */
export const STATS_COMPLEXITY = 250;

/** The place of a waiting build is computed from the counters of all projects. */
export const POSITION_COMPLEXITY = 10;

/** Bytes of the prompts, variables, outputs, changed files, events and log lines of one answer. */
export const MAX_RESPONSE_BYTES = 24 * 1024 * 1024;

/** What every operation costs its token besides its complexity, and every field of a mutation: it writes. */
export const OPERATION_COST = 1;
export const MUTATION_COST = 10;

/** One download of an artifact. */
export const ARTIFACT_COST = 10;

/** One look at the metrics. */
export const METRICS_COST = 10;
