/** Workers of this process offer places to whatever is committed here: what waits for one is claimed with the same commit. */
import type { ClaimedBuild } from './build.ts';
import type { AttemptKey, Claimer } from './claim-builds.ts';

/** Places of a worker in this process, which are kept for what a flush may give it. */
export interface KeptPlaces {
  readonly claimer: Claimer;
  /** Without the ends; may be less than none. */
  readonly count: number;
  /** The end of each of these attempts leaves it one more. */
  readonly ending: readonly AttemptKey[];
  /** To be called once: it has its places back. */
  readonly release: (filled: Filled) => void;
}

export interface Filled {
  /** The worker's now. */
  readonly claimed: readonly ClaimedBuild[];
  /** Those of `ending` that have ended. */
  readonly ended: readonly AttemptKey[];
  /** Is there more to claim? Null: nobody has looked. */
  readonly more: boolean | null;
}

/** Nothing was committed, as far as is known. */
export const NOTHING: Filled = { claimed: [], ended: [], more: null };

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
