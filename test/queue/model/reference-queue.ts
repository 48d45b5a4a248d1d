/** What the queue is meant to do, without a database: the reference that its SQL is compared with. */

export type ItemState = 'later' | 'waits' | 'runs';

export interface ModelItem {
  readonly index: number;
  readonly project: number;
  readonly kind: string;
  /** '' for none. */
  readonly key: string;
  readonly needs: readonly string[];
  /** Does its agent take a key? */
  readonly isKeyed: boolean;
  readonly addedAt: number;
  priority: number;
  state: ItemState;
  /** The credential that it uses, or would use; null for none. */
  gate: Gate | null;
}

/** The credential of everybody, or that of a project. */
export type Gate = 'shared' | number;

export interface ModelProject {
  isPaused: boolean;
  max: number | null;
  keyLimit: number;
  hasOwnCredential: boolean;
  readonly keyLimits: Map<string, number>;
}

export interface Asks {
  readonly kinds: readonly string[];
  readonly labels: readonly string[];
  readonly max: number;
  /** Null: of any. */
  readonly projects: readonly number[] | null;
}

export const PROJECTS = 3;
export const KINDS = ['task:a', 'task:b'];
export const LABELS = ['x', 'y'];
/** A worker that may take everything. */
export const EVERYTHING: Asks = { kinds: KINDS, labels: LABELS, max: 1_000, projects: null };
const SECONDS_PER_POINT = 60;

export class ReferenceQueue {
  readonly items = new Map<number, ModelItem>();
  readonly gateLimits = new Map<Gate, number>();
  readonly projects: readonly ModelProject[] = Array.from({ length: PROJECTS }, () => ({
    ...{ isPaused: false, max: null, keyLimit: 1, hasOwnCredential: false },
    keyLimits: new Map<string, number>(),
  }));
  isPaused = false;
  max: number | null = null;
  /** Items that there have been. */
  count = 0;

  project(index: number): ModelProject {
    const project = this.projects[index];
    if (!project) throw new Error(`the model has no project ${index}`);
    return project;
  }

  /** One of those in the queue; undefined if it is empty. */
  pick(choice: number): ModelItem | undefined {
    return [...this.items.values()][choice % Math.max(1, this.items.size)];
  }

  gateOf(item: Pick<ModelItem, 'project' | 'isKeyed'>): Gate | null {
    if (!item.isKeyed) return null;
    return this.project(item.project).hasOwnCredential ? item.project : 'shared';
  }

  regate(): void {
    for (const item of this.items.values()) if (item.state !== 'runs') item.gate = this.gateOf(item);
  }

  /** Limits that `item` would exceed if it started now, and whatever else holds it back. */
  obstacles(item: ModelItem, asks: Asks = EVERYTHING): string[] {
    const project = this.project(item.project);
    const limit = project.keyLimits.get(item.key) ?? project.keyLimit;
    const gateLimit = item.gate === null ? null : (this.gateLimits.get(item.gate) ?? null);
    const found: readonly [string, boolean][] = [
      ['does not wait', item.state !== 'waits'],
      ['kind', !asks.kinds.includes(item.kind)],
      ['labels', !item.needs.every((need) => asks.labels.includes(need))],
      ['not of its projects', asks.projects !== null && !asks.projects.includes(item.project)],
      ['all is paused', this.isPaused],
      ['project is paused', project.isPaused],
      ['limit of all', this.isFull(this.max, () => true)],
      ['limit of project', this.isFull(project.max, (other) => other.project === item.project)],
      ['limit of key', item.key !== '' && this.isFull(limit, (other) => this.#sharesKey(other, item))],
      ['limit of credential', this.isFull(gateLimit, (other) => other.gate === item.gate)],
    ];
    return found.flatMap(([what, isSo]) => (isSo ? [what] : []));
  }

  eligible(asks: Asks = EVERYTHING): ModelItem[] {
    return [...this.items.values()].filter((item) => this.obstacles(item, asks).length === 0);
  }

  /** Of what its project may start now on this worker, it has waited and weighs most. */
  isNext(item: ModelItem, asks: Asks): boolean {
    return this.eligible(asks).every((other) => other.project !== item.project || rank(item) <= rank(other));
  }

  isFull(limit: number | null, counts: (item: ModelItem) => boolean): boolean {
    if (limit === null) return false;
    return [...this.items.values()].filter((item) => item.state === 'runs' && counts(item)).length >= limit;
  }

  #sharesKey(one: ModelItem, other: ModelItem): boolean {
    return one.project === other.project && one.key === other.key;
  }
}

function rank(item: ModelItem): number {
  return item.addedAt - item.priority * SECONDS_PER_POINT;
}
