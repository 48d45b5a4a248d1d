/** Who may send next, when more is due than can be sent at once. */

/** Places that must be free for each that a project has, before it gets another one. */
const FREE_FOR_ONE = 3;

/** Something that is due, or on its way. */
export interface Placed {
  readonly projectId: string;
  /** With the port, where the URL has one. */
  readonly host: string;
}

export interface PlaceLimits {
  /** On their way at most, in this process. */
  readonly places: number;
  /** To one host at most. */
  readonly perHost: number;
}

/**
 * Gives free places to `due`, which is in the order of time: in turns, to the project that has the fewest. A project
 * gets one more only while more than three times as many are free as it has, so that whoever comes next finds one, too:
 * one project alone has a quarter of all, and each that comes later a quarter of what is left.
 */
export function sharePlaces<T extends Placed>(due: readonly T[], sending: readonly Placed[], limits: PlaceLimits): T[] {
  const byProject = Map.groupBy(due, ({ projectId }) => projectId);
  const projects = countBy(sending, ({ projectId }) => projectId);
  const hosts = countBy(sending, ({ host }) => host);
  const chosen: T[] = [];
  for (let free = limits.places - sending.length; free > 0; free -= 1) {
    const next = fewest([...byProject.keys()], projects);
    if (next === null || (projects.get(next) ?? 0) * FREE_FOR_ONE >= free) break;
    const waiting = byProject.get(next) ?? [];
    const at = waiting.findIndex(({ host }) => (hosts.get(host) ?? 0) < limits.perHost);
    const [taken] = at === -1 ? [] : waiting.splice(at, 1);
    if (!taken) {
      byProject.delete(next);
      free += 1;
      continue;
    }
    chosen.push(taken);
    projects.set(next, (projects.get(next) ?? 0) + 1);
    hosts.set(taken.host, (hosts.get(taken.host) ?? 0) + 1);
  }
  return chosen;
}

function countBy(items: readonly Placed[], key: (item: Placed) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(key(item), (counts.get(key(item)) ?? 0) + 1);
  return counts;
}

/** The first of those that have the fewest: keys are in the order in which their oldest is due. */
function fewest(projects: readonly string[], counts: ReadonlyMap<string, number>): string | null {
  let least: string | null = null;
  for (const project of projects) {
    if (least === null || (counts.get(project) ?? 0) < (counts.get(least) ?? 0)) least = project;
  }
  return least;
}
