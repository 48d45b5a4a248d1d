/** What this process has counted since its start. No library is loaded for it: `metrics.ts` reads it when somebody asks. */
export type Labels = Readonly<Record<string, string>>;

/** Series of one figure; labels have few values, and this keeps a mistake from filling the memory. */
const MAX_SERIES = 500;

export interface Tally {
  readonly labels: Labels;
  readonly value: number;
}

export interface Distribution {
  readonly labels: Labels;
  readonly count: number;
  readonly sum: number;
  /** How many lie at or below each bound and above the one before; the last is what lies above all. */
  readonly counts: readonly number[];
}

export class Counter {
  readonly #series = new Map<string, { readonly labels: Labels; value: number }>();

  /** `known`: series that are there from the start, at 0, so that the first count of each is an increase. */
  constructor(known: readonly Labels[] = []) {
    for (const labels of known) this.#seriesOf(labels);
  }

  add(labels: Labels): void {
    const series = this.#seriesOf(labels);
    if (series) series.value += 1;
  }

  #seriesOf(labels: Labels) {
    return seriesOf(this.#series, labels, () => ({ labels, value: 0 }));
  }

  read(): readonly Tally[] {
    return [...this.#series.values()];
  }
}

export class Histogram {
  readonly bounds: readonly number[];
  readonly #series = new Map<string, { labels: Labels; count: number; sum: number; counts: number[] }>();

  /** `bounds`: ascending. */
  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
  }

  observe(value: number, labels: Labels): void {
    const counts = () => new Array<number>(this.bounds.length + 1).fill(0);
    const series = seriesOf(this.#series, labels, () => ({ labels, count: 0, sum: 0, counts: counts() }));
    if (!series) return;
    const found = this.bounds.findIndex((bound) => value <= bound);
    const bucket = found === -1 ? this.bounds.length : found;
    series.count += 1;
    series.sum += value;
    series.counts[bucket] = (series.counts[bucket] ?? 0) + 1;
  }

  read(): readonly Distribution[] {
    return [...this.#series.values()];
  }
}

function seriesOf<T>(all: Map<string, T>, labels: Labels, create: () => T): T | undefined {
  const key = JSON.stringify(Object.entries(labels).sort());
  const known = all.get(key);
  if (known || all.size >= MAX_SERIES) return known;
  const created = create();
  all.set(key, created);
  return created;
}
