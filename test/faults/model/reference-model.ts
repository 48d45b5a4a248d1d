/** What a build's life is meant to be, without a database: the reference that the real SQL is compared with. */
import { LEASE_SECONDS, MAX_LOST_ATTEMPTS } from '../../../src/builds/lease.ts';
import type { BuildStatus } from '../../../src/events/vocabulary.ts';

export interface ModelBuild {
  status: BuildStatus;
  attempt: number;
  lost: number;
  /** Seconds; only while RUNNING. */
  lease: number;
  worker: number | null;
  cancel: boolean;
  intent: boolean;
  pushed: boolean;
}

const FRESH: ModelBuild = {
  ...{ status: 'PENDING', attempt: 0, lost: 0, lease: 0, worker: null },
  ...{ cancel: false, intent: false, pushed: false },
};

export class Model {
  readonly builds: ModelBuild[] = [];
  readonly keys = new Map<string, number>();

  /** The build that this key has, which may be new. */
  start(key: string | null): number {
    const known = key === null ? undefined : this.keys.get(key);
    if (known !== undefined) return known;
    const index = this.builds.push({ ...FRESH }) - 1;
    if (key !== null) this.keys.set(key, index);
    return index;
  }

  at(index: number): ModelBuild {
    const build = this.builds[index];
    if (!build) throw new Error(`the model has no build ${index}`);
    return build;
  }

  some(status: BuildStatus): boolean {
    return this.builds.some((build) => build.status === status);
  }

  claim(index: number, worker: number): void {
    const build = this.at(index);
    Object.assign(build, { status: 'RUNNING', attempt: build.attempt + 1, lease: LEASE_SECONDS, worker });
  }

  /** Is this attempt still the one that may write? */
  holds(index: number, attempt: number): boolean {
    return this.at(index).status === 'RUNNING' && this.at(index).attempt === attempt;
  }

  tick(seconds: number): void {
    for (const build of this.builds) if (build.status === 'RUNNING') build.lease -= seconds;
  }

  putBack(index: number, lost: 0 | 1): void {
    const build = this.at(index);
    const poisoned = lost === 1 && !build.intent && build.lost + 1 >= MAX_LOST_ATTEMPTS;
    if (poisoned) this.finish(index, 'FAILED');
    else Object.assign(build, { status: 'PENDING', lost: build.lost + lost, worker: null });
  }

  cancel(index: number): 'refused' | 'done' {
    const build = this.at(index);
    if (build.intent || (build.status !== 'PENDING' && build.status !== 'RUNNING')) return 'refused';
    build.cancel = true;
    if (build.status === 'PENDING' && build.attempt === 0) this.finish(index, 'CANCELLED');
    return 'done';
  }

  finish(index: number, status: BuildStatus): void {
    this.at(index).status = status;
  }
}
