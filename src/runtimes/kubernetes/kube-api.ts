/**
 * The Kubernetes API, as far as Slipway needs it, in one namespace. Every call has a deadline, every answer a bound, and
 * every failure is a KubeError. Names are checked before a request is made.
 */
import type { IncomingMessage } from 'node:http';
import type { V1Pod } from '@kubernetes/client-node';
import {
  type KubeConfigInput,
  type KubeConnection,
  type KubeCredentials,
  openKubeCredentials,
} from './kube-credentials.ts';
import { KubeError } from './kube-error.ts';
import { checkName } from './kube-names.ts';
import { callKube, type KubeRequest, openKubeStream } from './kube-request.ts';

/** What JSON makes of a type of the client library: dates are text. */
type Json<T> = T extends Date ? string : T extends object ? { [K in keyof T]: Json<T[K]> } : T;

/** A pod as the API server gives it. */
export type PodJson = Json<V1Pod>;

export interface AccessQuestion {
  readonly verb: string;
  readonly resource: string;
  readonly subresource?: string;
  /** '' or absent: the core group. */
  readonly group?: string;
  /** The namespace of this API if absent; null for what has none, such as nodes. */
  readonly namespace?: string | null;
}

interface PodList {
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
  readonly items?: readonly PodJson[];
}

export interface PodPage {
  readonly items: readonly PodJson[];
  /** Of the whole list: the same on every page. */
  readonly resourceVersion: string;
}

const PAGE_SIZE = 250;
const MAX_LIST_BYTES = 64 * 1024 ** 2;
const LIST_MS = 60_000;
const PAGE_MS = 20_000;
/** Admission webhooks may take 30 s. */
const WRITE_TRY_MS = 35_000;
const WRITE_MS = 75_000;

export class KubeApi implements AsyncDisposable {
  readonly namespace: string;
  readonly #credentials: KubeCredentials;

  constructor(credentials: KubeCredentials) {
    checkName('namespace', credentials.namespace);
    this.namespace = credentials.namespace;
    this.#credentials = credentials;
  }

  /** The address of the server, for messages. */
  get server(): string {
    return this.#credentials.server.href;
  }

  /** See `KubeCredentials.context`. */
  get context(): string {
    return this.#credentials.context;
  }

  /**
   * Creates a pod with a name that the caller has chosen. It is tried again when the answer is lost, so a KubeError with
   * the reason AlreadyExists may mean this very call: whoever gets it reads the pod and looks whose it is.
   */
  async createPod(pod: V1Pod, options: { readonly signal?: AbortSignal } = {}): Promise<PodJson> {
    checkName('pod', pod.metadata?.name ?? '');
    return this.request<PodJson>({
      ...{ method: 'POST', segments: this.#pods(), body: pod, repeatable: true },
      ...{ tryMs: WRITE_TRY_MS, deadlineMs: WRITE_MS, ...options },
    });
  }

  /** Null when there is no pod of this name. */
  async getPod(name: string, options: { readonly signal?: AbortSignal } = {}): Promise<PodJson | null> {
    try {
      return await this.request<PodJson>({ method: 'GET', segments: this.#pod(name), ...options });
    } catch (error) {
      if (error instanceof KubeError && error.status === 404) return null;
      throw error;
    }
  }

  /** All pods that match, at one moment. Holds them all: `podPages` does not. */
  async listPods(options: { readonly labelSelector: string; readonly signal?: AbortSignal }): Promise<PodPage> {
    const items: PodJson[] = [];
    let resourceVersion = '';
    for await (const page of this.podPages(options)) {
      items.push(...page.items);
      resourceVersion = page.resourceVersion;
    }
    return { items, resourceVersion };
  }

  /** The same, page by page. Rejects with the reason Expired when it took too long: the whole list is then read anew. */
  async *podPages(options: { readonly labelSelector: string; readonly signal?: AbortSignal }): AsyncGenerator<PodPage> {
    const deadline = performance.now() + LIST_MS;
    let bytes = 0;
    let from: string | undefined;
    do {
      const { body, bytes: read } = await callKube(this.#credentials, {
        method: 'GET',
        segments: this.#pods(),
        query: {
          labelSelector: options.labelSelector,
          limit: String(PAGE_SIZE),
          ...(from === undefined ? {} : { continue: from }),
        },
        deadlineMs: deadline - performance.now(),
        tryMs: PAGE_MS,
        maxBytes: MAX_LIST_BYTES - bytes,
        ...(options.signal && { signal: options.signal }),
      });
      const list = (body ?? {}) as PodList;
      bytes += read;
      from = list.metadata?.continue || undefined;
      yield { items: list.items ?? [], resourceVersion: list.metadata?.resourceVersion ?? '' };
    } while (from !== undefined);
  }

  /**
   * Asks for the deletion of exactly this pod, with `resourceVersion` only of that version, else a KubeError with the reason
   * Conflict. A pod that is gone, or another one of the same name, is fine. It is still there when this resolves: the kubelet
   * has to end it first.
   */
  async deletePod(
    name: string,
    options: {
      readonly uid: string;
      readonly resourceVersion?: string;
      readonly gracePeriodSeconds: number;
      readonly signal?: AbortSignal;
    },
  ): Promise<void> {
    const { uid, resourceVersion, gracePeriodSeconds, signal } = options;
    const preconditions = { uid, resourceVersion };
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', gracePeriodSeconds, preconditions };
    try {
      await this.request({
        ...{ method: 'DELETE', segments: this.#pod(name), body, repeatable: true },
        ...(signal && { signal }),
      });
    } catch (error) {
      if (!(error instanceof KubeError)) throw error;
      if (error.status === 404) return;
      if (error.status !== 409) throw error;
      const there = await this.getPod(name, signal ? { signal } : {});
      if (there?.metadata?.uid === uid) throw error;
    }
  }

  /** A JSON merge patch; with `resourceVersion` only of that version, else a KubeError with the reason Conflict. */
  async patchPod(
    name: string,
    patch: Readonly<Record<string, unknown>>,
    options: { readonly resourceVersion?: string; readonly signal?: AbortSignal } = {},
  ): Promise<PodJson> {
    const { resourceVersion, signal } = options;
    const metadata = { ...(patch.metadata as object | undefined), resourceVersion };
    return this.request<PodJson>({
      method: 'PATCH',
      segments: this.#pod(name),
      body: resourceVersion === undefined ? patch : { ...patch, metadata },
      contentType: 'application/merge-patch+json',
      tryMs: WRITE_TRY_MS,
      deadlineMs: WRITE_MS,
      ...(signal && { signal }),
    });
  }

  /** May we do this? `reason` is the authorizer's, often empty. */
  async reviewAccess(question: AccessQuestion): Promise<{ readonly allowed: boolean; readonly reason: string }> {
    const { namespace = this.namespace, ...attributes } = question;
    const answer = await this.request<{ status?: { allowed?: boolean; reason?: string } }>({
      method: 'POST',
      segments: ['apis', 'authorization.k8s.io', 'v1', 'selfsubjectaccessreviews'],
      body: {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SelfSubjectAccessReview',
        spec: { resourceAttributes: { ...attributes, ...(namespace === null ? {} : { namespace }) } },
      },
      repeatable: true,
    });
    return { allowed: answer.status?.allowed === true, reason: answer.status?.reason ?? '' };
  }

  /** `gitVersion` such as v1.20.2. */
  async version(options: Pick<KubeRequest, 'deadlineMs'> = {}): Promise<{ readonly gitVersion?: string }> {
    return this.request({ method: 'GET', segments: ['version'], ...options });
  }

  /** Any other call. The answer is what the server says it is: nobody has checked it. */
  async request<T = unknown>(request: KubeRequest): Promise<T> {
    return (await callKube(this.#credentials, request)).body as T;
  }

  /** Events of the pods that match from a version on, one JSON object a line, until the server ends it. */
  async watchPods(options: {
    readonly labelSelector: string;
    readonly resourceVersion: string;
    /** When the server is to end it. */
    readonly timeoutSeconds: number;
    readonly headersMs: number;
    readonly signal: AbortSignal;
  }): Promise<IncomingMessage> {
    return openKubeStream(this.#credentials, {
      method: 'GET',
      segments: this.#pods(),
      query: {
        watch: 'true',
        allowWatchBookmarks: 'true',
        labelSelector: options.labelSelector,
        resourceVersion: options.resourceVersion,
        timeoutSeconds: String(options.timeoutSeconds),
      },
      deadlineMs: options.headersMs,
      signal: options.signal,
    });
  }

  /** What an exec needs to open a connection of its own. */
  async connect(): Promise<KubeConnection> {
    return this.#credentials.connect('upgrades');
  }

  /** The server has refused the credentials of an exec that began at `usedAt` (performance.now()). */
  async renewCredentials(usedAt: number): Promise<boolean> {
    return this.#credentials.renew(usedAt);
  }

  /** Breaks what is still open. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#credentials.close();
  }

  #pods(): string[] {
    return ['api', 'v1', 'namespaces', this.namespace, 'pods'];
  }

  #pod(name: string): string[] {
    checkName('pod', name);
    return [...this.#pods(), name];
  }
}

/** Rejects with a KubeError (NotConfigured, InvalidName). Does not reach for the server yet. */
export async function openKubeApi(input: KubeConfigInput): Promise<KubeApi> {
  return new KubeApi(await openKubeCredentials(input));
}
