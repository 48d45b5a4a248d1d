/** Which rollups a question is answered from: the fewest that fit, some of which are taken away from others. */
import type { BuildFilter } from '../builds/filter-builds.ts';

/** Of UTC. */
export type Level = 'HOUR' | 'DAY' | 'MONTH';

interface Scope {
  readonly name: 'ALL' | 'PROVIDER' | 'TEMPLATE' | 'PARTS' | 'PROJECT' | 'PROJECT_PARTS';
  /** The shortest first; there is one. */
  readonly levels: readonly [Level, ...Level[]];
}

/** null is open. */
interface Range {
  readonly from: Date | null;
  readonly to: Date | null;
}

/** Rollups of one level whose buckets begin in this range. */
export interface Piece extends Range {
  readonly level: Level;
  /** -1: what they hold is taken away, as a longer rollup has it and it is not of the point. */
  readonly sign: 1 | -1;
  /** The point that they count in; null: the one in which they begin. */
  readonly point: number | null;
}

export interface RollupPlan {
  readonly filter: BuildFilter;
  readonly scope: Scope;
  /** Where the points begin, the first of them 0; none: all is one point. */
  readonly starts: readonly Date[];
  /** What the pieces are of together. Where the filter's range is another one, builds are added or taken away one by one. */
  readonly covered: Range;
  readonly pieces: readonly Piece[];
}

/**
 * How rollups answer this filter: the one place that decides. Null when they cannot: for what they do not know, such as labels,
 * and for points that begin within their buckets, and ranges without a whole one. `starts`: of the points, of which the first has the range's beginning.
 */
export function planRollups(filter: BuildFilter, starts: readonly Date[] = []): RollupPlan | null {
  const scope = findScope(filter);
  if (!scope) return null;
  const [shortest] = scope.levels;
  const range = { from: filter.createdFrom ?? null, to: filter.createdTo ?? null };
  if (!hasBucket(range, shortest)) return null;
  const covered = coverRange(range, shortest);
  const inner = starts.slice(1);
  if (inner.some((start) => bucketOf(start, shortest) < start)) return null;
  const edges = [covered.from, ...inner.filter((start) => isWithin(start, covered)), covered.to];
  const pieces = edges.slice(1).flatMap((to, index) => {
    const from = edges[index] ?? null;
    const point = Math.max(
      0,
      starts.findLastIndex((start) => !from || start <= from),
    );
    return cutRange({ from, to }, scope.levels).map((piece) => ({
      ...piece,
      point: piece.sign === 1 && (!from || (piece.from && piece.from >= from)) ? null : point,
    }));
  });
  return { filter, scope, starts, covered, pieces: joinPieces(pieces) };
}

function findScope(filter: BuildFilter): Scope | null {
  const { projectIds, providers, template, statuses, sources, branch, number, labels } = filter;
  const free = [statuses, sources, branch, number, labels?.length === 0 ? null : labels];
  // In rollups the empty name stands for builds without a template.
  if (free.some(isPresent) || template === '') return null;
  const byTemplate = isPresent(template);
  const levels = ['HOUR', 'DAY', 'MONTH'] as const;
  if (projectIds && (providers || byTemplate)) return { name: 'PROJECT_PARTS', levels: ['DAY'] };
  if (projectIds) return { name: 'PROJECT', levels };
  if (providers && byTemplate) return { name: 'PARTS', levels };
  if (providers) return { name: 'PROVIDER', levels };
  return { name: byTemplate ? 'TEMPLATE' : 'ALL', levels };
}

function isPresent<T>(member: T): member is NonNullable<T> {
  return member !== null && member !== undefined;
}

/** Whether a whole bucket is in it. */
function hasBucket({ from, to }: Range, level: Level): boolean {
  return !from || !to || nextBucket(new Date(+from - 1), level) < bucketOf(to, level);
}

/** The whole buckets that have the fewest builds more or less than the range. What is to come has none. */
function coverRange({ from, to }: Range, level: Level): Range {
  if (!to) return { from: from && nearest(from, level), to };
  const [before, after] = [bucketOf(to, level), nextBucket(to, level)];
  const less = +to - +before;
  const more = Math.max(0, Math.min(+after, Date.now()) - +to);
  return { from: from && nearest(from, level), to: less <= more ? before : after };
}

/** The longest buckets that are nearest to the range; shorter ones are added where it is longer, and taken away where it is shorter. */
function cutRange(range: Range, [level, ...longer]: readonly Level[]): Omit<Piece, 'point'>[] {
  if (!level) return [];
  const [next] = longer;
  const { from, to } = range;
  const inner = next && { from: from && nearest(from, next), to: to && nearest(to, next) };
  if (!inner || isEmpty(inner)) return [{ level, from, to, sign: 1 }];
  return [...cutEdge(level, from, inner.from), ...cutRange(inner, longer), ...cutEdge(level, inner.to, to)];
}

/** What is added between two times, or taken away when they are the other way round. */
function cutEdge(level: Level, from: Date | null, to: Date | null): Omit<Piece, 'point'>[] {
  if (!from || !to || +from === +to) return [];
  return [from < to ? { level, from, to, sign: 1 } : { level, from: to, to: from, sign: -1 }];
}

/** Those that follow one another and count where they begin are one. */
function joinPieces(pieces: readonly Piece[]): Piece[] {
  const joined: Piece[] = [];
  const open = new Map<Level, number>();
  for (const piece of pieces) {
    const index = piece.point === null ? open.get(piece.level) : undefined;
    const before = index === undefined ? undefined : joined[index];
    if (index !== undefined && before?.to && piece.from && +before.to === +piece.from) {
      joined[index] = { ...before, to: piece.to };
    } else {
      if (piece.point === null) open.set(piece.level, joined.length);
      joined.push(piece);
    }
  }
  return joined;
}

function isEmpty({ from, to }: Range): boolean {
  return from !== null && to !== null && from >= to;
}

function isWithin(time: Date, { from, to }: Range): boolean {
  return (!from || time > from) && (!to || time < to);
}

function nearest(time: Date, level: Level): Date {
  const [before, after] = [bucketOf(time, level), nextBucket(time, level)];
  return +time - +before <= +after - +time ? before : after;
}

function bucketOf(time: Date, level: Level): Date {
  const [year, month, day, hour] = [
    time.getUTCFullYear(),
    time.getUTCMonth(),
    time.getUTCDate(),
    time.getUTCHours(),
  ] as const;
  if (level === 'MONTH') return new Date(Date.UTC(year, month));
  return new Date(level === 'DAY' ? Date.UTC(year, month, day) : Date.UTC(year, month, day, hour));
}

function nextBucket(time: Date, level: Level): Date {
  const start = bucketOf(time, level);
  if (level === 'MONTH') return new Date(Date.UTC(start.getUTCFullYear(), start.getUTCMonth() + 1));
  return new Date(+start + (level === 'DAY' ? 24 : 1) * 3_600_000);
}
