/** Workers of this process offer places to whatever is committed here: what waits for one is claimed with the same commit. */
import type { ClaimedBuild } from './build.ts';
import type { AttemptKey, Claimer } from './claim-builds.ts';

/** Places of a worker in this process, which are kept for what a flush may give it. */
export interface KeptPlaces {
  readonly claimer: Claimer;
  /** At this moment; less than none where ended builds have left theirs before they are cleaned up. */
  readonly count: number;
  /** The end of each of these builds leaves it one more. */
  readonly ending: readonly string[];
  /**
   * To be called once: these builds are the worker's now, and it has its places back. `more`: is there more to claim? Undefined where
   * nobody has looked.
   */
  readonly release: (claimed: readonly ClaimedBuild[], more: boolean | undefined) => void;
}

/** `ending`: attempts that the flush ends. Null: there are no places at this moment, or nothing that would be given any. */
export type KeepPlaces = (ending: readonly AttemptKey[]) => Promise<KeptPlaces | null>;

export class PlaceOffers {
  readonly #workers = new Set<KeepPlaces>();

  /** Until the returned function is called. */
  serve(keep: KeepPlaces): () => void {
    this.#workers.add(keep);
    return () => this.#workers.delete(keep);
  }

  /** Those of one worker: `release` must be called. */
  async keep(ending: readonly AttemptKey[]): Promise<KeptPlaces | null> {
    for (const keep of this.#workers) {
      const places = await keep(ending);
      if (places) return places;
    }
    return null;
  }
}
