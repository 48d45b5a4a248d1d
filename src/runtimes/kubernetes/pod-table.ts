/**
 * What is known of the pods, put together from whole lists, the events of a watch and the answers of our own calls, which
 * come in any order. A list is read from what the cluster has agreed on, so it is newer than all that was known when it was
 * asked for; what became known while it was read is compared by version.
 */
import { LABELS } from './pod-layout.ts';
import type { PodView } from './pod-view.ts';

/** Labels by whose values pods are found without a look at each of them. */
const INDEXED = [LABELS.build, LABELS.kind] as const;
export type IndexedLabel = (typeof INDEXED)[number];

interface Known {
  /** Null: deleted. Kept until a list shows that the cluster has forgotten it, too. */
  readonly pod: PodView | null;
  readonly resourceVersion: string;
  /** The table's clock when it was written. */
  readonly at: number;
}

export class PodTable {
  readonly #pods = new Map<string, Known>();
  /** Names of pods by `label=value`. */
  readonly #labelled = new Map<string, Set<string>>();
  readonly #onChange: (name: string, pod: PodView | undefined) => void;
  #clock = 0;
  /** The version of the last list: everything up to here is in the table. */
  #listed = '';

  constructor(onChange: (name: string, pod: PodView | undefined) => void) {
    this.#onChange = onChange;
  }

  get(name: string): PodView | undefined {
    return this.#pods.get(name)?.pod ?? undefined;
  }

  labelled(label: IndexedLabel, value: string): PodView[] {
    return [...(this.#labelled.get(`${label}=${value}`) ?? [])].flatMap((name) => this.get(name) ?? []);
  }

  /** The moment before a list is asked for, to be given to `replace`. */
  beginList(): number {
    this.#clock += 1;
    return this.#clock;
  }

  /** The whole list. True when it held something that nobody had told. */
  replace(list: {
    readonly begunAt: number;
    readonly pods: readonly PodView[];
    readonly resourceVersion: string;
  }): boolean {
    const { begunAt, resourceVersion } = list;
    let missed = false;
    const listed = new Set<string>();
    for (const pod of list.pods) {
      listed.add(pod.name);
      const known = this.#pods.get(pod.name);
      if (known && known.at > begunAt && !isNewer(pod.resourceVersion, known.resourceVersion)) continue;
      if (this.#put(pod.name, pod, pod.resourceVersion)) missed = true;
    }
    for (const [name, known] of [...this.#pods]) {
      if (listed.has(name)) continue;
      if (known.at > begunAt && isNewer(known.resourceVersion, resourceVersion)) continue;
      if (known.pod !== null) missed = true;
      this.#put(name, null, resourceVersion);
    }
    this.#listed = resourceVersion;
    // A deletion after the list is kept: a watch that goes on from the list tells first what was before it.
    for (const [name, { pod, resourceVersion: version }] of this.#pods) {
      if (pod === null && !isNewer(version, resourceVersion)) this.#pods.delete(name);
    }
    return missed;
  }

  /** An event, or the answer of a call of ours. What is older than what is known is passed over. */
  tell(pod: PodView, options: { readonly deleted: boolean }): void {
    const known = this.#pods.get(pod.name);
    const newest = known && isNewer(known.resourceVersion, this.#listed) ? known.resourceVersion : this.#listed;
    if (newest !== '' && !isNewer(pod.resourceVersion, newest)) return;
    this.#put(pod.name, options.deleted ? null : pod, pod.resourceVersion);
  }

  #put(name: string, pod: PodView | null, resourceVersion: string): boolean {
    const before = this.#pods.get(name);
    this.#clock += 1;
    this.#pods.set(name, { pod, resourceVersion, at: this.#clock });
    if (before?.pod) this.#forgetLabels(before.pod);
    if (pod) this.#indexLabels(pod);
    const changed = before?.pod?.uid !== pod?.uid || before?.pod?.resourceVersion !== pod?.resourceVersion;
    if (changed) this.#onChange(name, pod ?? undefined);
    return changed;
  }

  #indexLabels(pod: PodView): void {
    for (const key of indexKeys(pod)) {
      this.#labelled.set(key, (this.#labelled.get(key) ?? new Set()).add(pod.name));
    }
  }

  #forgetLabels(pod: PodView): void {
    for (const key of indexKeys(pod)) {
      const names = this.#labelled.get(key);
      names?.delete(pod.name);
      if (names?.size === 0) this.#labelled.delete(key);
    }
  }
}

function indexKeys({ labels }: PodView): string[] {
  return INDEXED.flatMap((label) => (labels[label] === undefined ? [] : `${label}=${labels[label]}`));
}

/** Versions are numbers of any length, as Kubernetes has promised since 1.35 and always done. */
function isNewer(version: string, than: string): boolean {
  return version.length === than.length ? version > than : version.length > than.length;
}
