/** Applies manifests to a cluster by server-side apply, and waits until what they describe runs. */
import { setTimeout as delay } from 'node:timers/promises';
import type { KubeApi } from '../runtimes/kubernetes/kube-api.ts';
import { KubeError } from '../runtimes/kubernetes/kube-error.ts';
import type { Manifest } from './read-manifests.ts';
import { judgeOf } from './rollout.ts';

const FIELD_MANAGER = 'slipway';
const LOOK_EVERY_MS = 1_000;
/** Until a new kind is served after its definition was applied. */
const NEW_KIND_MS = 30_000;
/** Admission webhooks may take 30 s. */
const TRY_MS = 35_000;
const WRITE_MS = 75_000;
const MAX_MESSAGE = 500;

export interface AppliedObject {
  readonly kind: string;
  readonly name: string;
  readonly namespace: string | null;
  /** APPLIED: it is there, and there is nothing to wait for. */
  readonly status: 'APPLIED' | 'READY' | 'NOT_READY' | 'FAILED' | 'SKIPPED';
  readonly message: string | null;
}

export interface ApplyOptions {
  /** Of manifests that name none. */
  readonly namespace: string;
  readonly force: boolean;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

interface Resource {
  readonly name: string;
  readonly namespaced: boolean;
}

interface Placed {
  readonly manifest: Manifest;
  readonly namespace: string | null;
  readonly segments: readonly string[];
}

/**
 * What became of each of them, in the order in which they were applied. When one is refused, those after it are not
 * applied; those before it stay. Rejects only with what `signal` aborts with, and with a KubeError of a cluster that
 * cannot be reached at all (`retryable`).
 */
export async function applyManifests(
  api: KubeApi,
  manifests: readonly Manifest[],
  options: ApplyOptions,
): Promise<AppliedObject[]> {
  const deadline = performance.now() + options.timeoutMs;
  const kinds = new Kinds(api, options.signal);
  const ordered = inOrder(manifests);
  const done: AppliedObject[] = [];
  const applied: Placed[] = [];
  for (const manifest of ordered) {
    options.signal.throwIfAborted();
    if (done.some(({ status }) => status === 'FAILED')) {
      done.push(tell(manifest, manifest.namespace, 'SKIPPED', 'something before it was refused'));
      continue;
    }
    try {
      const placed = await place(kinds, manifest, options);
      await api.request({
        ...{ method: 'PATCH', segments: placed.segments, contentType: 'application/apply-patch+yaml' },
        query: { fieldManager: FIELD_MANAGER, force: String(options.force), fieldValidation: 'Strict' },
        body: bodyOf(placed),
        ...{ repeatable: true, tryMs: TRY_MS, deadlineMs: WRITE_MS, signal: options.signal },
      });
      applied.push(placed);
      done.push(tell(manifest, placed.namespace, 'APPLIED', null));
      if (manifest.kind === 'CustomResourceDefinition') kinds.expectNew();
    } catch (error) {
      options.signal.throwIfAborted();
      // Nothing is changed yet, and later it may be reached. With 500 older servers refuse what is no such object.
      const mayHelpLater = error instanceof KubeError && error.retryable && error.status !== 500;
      if (!(error instanceof KubeError) || (done.length === 0 && mayHelpLater)) throw error;
      done.push(tell(manifest, manifest.namespace, 'FAILED', error.message));
    }
  }
  if (done.some(({ status }) => status === 'FAILED')) return done;
  const states = await Promise.all(applied.map((placed) => waitFor(api, placed, { deadline, signal: options.signal })));
  return done.map((object, index) => ({ ...object, ...states[index] }));
}

/** What others stand in, and what they are made of, comes first. */
function inOrder(manifests: readonly Manifest[]): Manifest[] {
  const rank = ({ kind }: Manifest) => (kind === 'Namespace' ? 0 : kind === 'CustomResourceDefinition' ? 1 : 2);
  return [...manifests].sort((a, b) => rank(a) - rank(b));
}

async function place(kinds: Kinds, manifest: Manifest, { namespace }: ApplyOptions): Promise<Placed> {
  const { name, namespaced } = await kinds.find(manifest);
  const [group, version] = manifest.apiVersion.includes('/')
    ? manifest.apiVersion.split('/')
    : [null, manifest.apiVersion];
  const base = group === null ? ['api', version ?? ''] : ['apis', group ?? '', version ?? ''];
  const own = namespaced ? (manifest.namespace ?? namespace) : null;
  const segments = [...base, ...(own === null ? [] : ['namespaces', own]), name, manifest.name];
  return { manifest, namespace: own, segments };
}

function bodyOf({ manifest: { object }, namespace }: Placed) {
  return { ...object, metadata: { ...(object.metadata as object), ...(namespace === null ? {} : { namespace }) } };
}

/** The resources of the API's groups, asked for once each. */
class Kinds {
  readonly #api: KubeApi;
  readonly #signal: AbortSignal;
  readonly #known = new Map<string, ReadonlyMap<string, Resource>>();
  #newUntil = 0;

  constructor(api: KubeApi, signal: AbortSignal) {
    this.#api = api;
    this.#signal = signal;
  }

  /** Kinds that are not served yet may be so in a moment. */
  expectNew(): void {
    this.#known.clear();
    this.#newUntil = performance.now() + NEW_KIND_MS;
  }

  /** Throws a KubeError when the cluster does not know it. */
  async find({ apiVersion, kind }: Manifest): Promise<Resource> {
    for (;;) {
      const known = this.#known.get(apiVersion) ?? (await this.#read(apiVersion));
      this.#known.set(apiVersion, known);
      const found = known.get(kind);
      if (found) return found;
      if (performance.now() >= this.#newUntil) throw unknownKind(apiVersion, kind);
      this.#known.delete(apiVersion);
      await delay(LOOK_EVERY_MS, undefined, { signal: this.#signal });
    }
  }

  async #read(apiVersion: string): Promise<ReadonlyMap<string, Resource>> {
    const segments = apiVersion.includes('/') ? ['apis', ...apiVersion.split('/')] : ['api', apiVersion];
    try {
      const list = await this.#api.request<{ resources?: unknown }>({ method: 'GET', segments, signal: this.#signal });
      const resources = Array.isArray(list?.resources) ? list.resources : [];
      return new Map(resources.flatMap((resource) => toResource(resource)));
    } catch (error) {
      if (error instanceof KubeError && error.status === 404) return new Map();
      throw error;
    }
  }
}

/** Those with a slash are parts of others. */
function toResource(resource: unknown): [string, Resource][] {
  const { name, kind, namespaced } = (resource ?? {}) as { name?: unknown; kind?: unknown; namespaced?: unknown };
  if (typeof name !== 'string' || typeof kind !== 'string' || name.includes('/')) return [];
  return [[kind, { name, namespaced: namespaced === true }]];
}

function unknownKind(apiVersion: string, kind: string): KubeError {
  const message = `The cluster knows no ${kind} of ${apiVersion}.`;
  return new KubeError({ status: null, reason: 'NotFound', message, retryable: false });
}

async function waitFor(
  api: KubeApi,
  { manifest, segments }: Placed,
  { deadline, signal }: { readonly deadline: number; readonly signal: AbortSignal },
): Promise<Pick<AppliedObject, 'status' | 'message'>> {
  const judge = judgeOf(manifest);
  if (!judge) return { status: 'APPLIED', message: null };
  for (let last = 'nothing is known of it'; ; ) {
    try {
      const state = judge((await api.request<object>({ method: 'GET', segments, signal })) ?? {});
      if (state.state === 'ready') return { status: 'READY', message: null };
      if (state.state === 'failed') return { status: 'FAILED', message: state.message.slice(0, MAX_MESSAGE) };
      last = state.message;
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof KubeError)) throw error;
      if (!error.retryable) return { status: 'FAILED', message: error.message.slice(0, MAX_MESSAGE) };
      last = error.message;
    }
    if (performance.now() + LOOK_EVERY_MS > deadline)
      return { status: 'NOT_READY', message: last.slice(0, MAX_MESSAGE) };
    await delay(LOOK_EVERY_MS, undefined, { signal });
  }
}

function tell(
  { kind, name }: Manifest,
  namespace: string | null,
  status: AppliedObject['status'],
  message: string | null,
): AppliedObject {
  return { kind, name, namespace, status, message: message?.slice(0, MAX_MESSAGE) ?? null };
}
