/**
 * Sandbox objects of kubernetes-sigs/agent-sandbox: each is a template of a pod, which the controller of the cluster makes
 * under the same name and with the template's labels, makes again when it is gone, and keeps at the template's labels. What
 * is used here is the same in v1alpha1 and v1beta1.
 */
import type { V1Pod } from '@kubernetes/client-node';
import type { KubeApi } from './kube-api.ts';
import { KubeError } from './kube-error.ts';
import { checkName } from './kube-names.ts';
import { attemptOf, LABELS } from './pod-layout.ts';
import { viewOfPod } from './pod-view.ts';
import { SANDBOX_GROUP, type SandboxRef } from './sandbox-ref.ts';

export interface SandboxView extends SandboxRef {
  readonly resourceVersion: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly isEnding: boolean;
  /** Why the controller does not call it ready, in its own words; '' when it is, or has said nothing. */
  readonly problem: string;
}

interface ApiGroup {
  readonly versions?: readonly { readonly version?: string }[];
}

interface SandboxList {
  readonly metadata?: { readonly continue?: string };
  readonly items?: readonly unknown[];
}

interface Options {
  readonly signal?: AbortSignal;
}

/** The newest first. */
const VERSIONS = ['v1beta1', 'v1alpha1'];
const PAGE_SIZE = 100;
const MAX_PAGES = 200;
const MAX_PAGE_BYTES = 16 * 1024 ** 2;
const DISCOVERY_MS = 10_000;
/** Its controller writes its state meanwhile. */
const MAX_ADOPT_TRIES = 3;
/** Admission webhooks may take 30 s. */
const WRITE = { tryMs: 35_000, deadlineMs: 75_000 };

export class SandboxObjects {
  readonly #api: KubeApi;

  constructor(api: KubeApi) {
    this.#api = api;
  }

  /** Null where the cluster has no such definition, or none that is known here. */
  async findVersion(): Promise<string | null> {
    const segments = ['apis', SANDBOX_GROUP];
    const call = { method: 'GET', segments, deadlineMs: DISCOVERY_MS } as const;
    const group = await orNull(this.#api.request<ApiGroup>(call), ({ status }) => status === 404);
    const served = (group?.versions ?? []).map(({ version }) => version);
    return VERSIONS.find((version) => served.includes(version)) ?? null;
  }

  /** Rejects with a KubeError; its reason AlreadyExists may mean this very call, whose answer was lost. */
  async create(version: string, pod: V1Pod, options: Options = {}): Promise<SandboxView> {
    const { name = '', labels, annotations } = pod.metadata ?? {};
    const created = await this.#api.request({
      method: 'POST',
      segments: this.#segments(version),
      body: {
        apiVersion: `${SANDBOX_GROUP}/${version}`,
        kind: 'Sandbox',
        metadata: { name, labels: ownLabels(labels) },
        spec: { podTemplate: { metadata: { labels, annotations }, spec: pod.spec } },
      },
      repeatable: true,
      ...WRITE,
      ...options,
    });
    return viewOfSandbox(created, version) as SandboxView;
  }

  async find(version: string, name: string): Promise<SandboxView | null> {
    const segments = this.#segments(version, name);
    return viewOfSandbox(await orNull(this.#api.request({ method: 'GET', segments }), isGone), version);
  }

  async list(version: string, labelSelector: string): Promise<SandboxView[]> {
    const found: SandboxView[] = [];
    let from = '';
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const list = await this.#api.request<SandboxList>({
        method: 'GET',
        segments: this.#segments(version),
        query: { labelSelector, limit: String(PAGE_SIZE), ...(from === '' ? {} : { continue: from }) },
        maxBytes: MAX_PAGE_BYTES,
      });
      found.push(...(list.items ?? []).flatMap((item) => viewOfSandbox(item, version) ?? []));
      from = list.metadata?.continue ?? '';
      if (from === '') break;
    }
    return found;
  }

  /**
   * Makes it the attempt's, and what the controller makes of it: a pod whose label is another the controller would put back. A
   * later attempt's it stays; one that is gone is fine.
   */
  async adopt({ version, name, uid }: SandboxRef, attempt: string): Promise<void> {
    const labels = { [LABELS.attempt]: attempt };
    for (let tries = 1; ; tries += 1) {
      const there = await this.find(version, name);
      if (there?.uid !== uid || attemptOf(there) >= Number(attempt)) return;
      const { resourceVersion } = there;
      const call = this.#api.request({
        method: 'PATCH',
        segments: this.#segments(version, name),
        body: { metadata: { resourceVersion, labels }, spec: { podTemplate: { metadata: { labels } } } },
        contentType: 'application/merge-patch+json',
        ...WRITE,
      });
      try {
        await orNull(call, isGone);
        return;
      } catch (error) {
        if (!(error instanceof KubeError) || error.status !== 409 || tries === MAX_ADOPT_TRIES) throw error;
      }
    }
  }

  /** Asks for the deletion of exactly this one: its pod is still there. One that is gone is fine. */
  async remove({ version, name, uid }: SandboxRef, options: Options = {}): Promise<void> {
    const preconditions = { uid };
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy: 'Background', preconditions };
    const segments = this.#segments(version, name);
    const call = this.#api.request({ method: 'DELETE', segments, body, repeatable: true, ...options });
    await orNull(call, isGoneOrAnother);
  }

  #segments(version: string, name?: string): string[] {
    if (name !== undefined) checkName('pod', name);
    const all = ['apis', SANDBOX_GROUP, version, 'namespaces', this.#api.namespace, 'sandboxes'];
    return name === undefined ? all : [...all, name];
  }
}

/** Those of the operator are meant for pods: a queue would else count both. */
function ownLabels(labels: Readonly<Record<string, string>> = {}): Record<string, string> {
  const own: readonly string[] = Object.values(LABELS);
  return Object.fromEntries(Object.entries(labels).filter(([label]) => own.includes(label)));
}

/** A server that has just started does not know its definitions yet: that is a 404 as well, and says nothing of the object. */
function isGone({ status, reason }: KubeError): boolean {
  return status === 404 && reason === 'NotFound';
}

function isGoneOrAnother(error: KubeError): boolean {
  return isGone(error) || error.status === 409;
}

async function orNull<T>(call: Promise<T>, isNull: (error: KubeError) => boolean): Promise<T | null> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof KubeError && isNull(error)) return null;
    throw error;
  }
}

/** Its metadata and conditions are as those of a pod. */
function viewOfSandbox(sandbox: unknown, version: string): SandboxView | null {
  const view = viewOfPod(sandbox);
  if (view === null) return null;
  const { name, uid, resourceVersion, labels, deletesAt, conditions } = view;
  const ready = conditions.find(({ type }) => type === 'Ready');
  const problem = ready?.status === 'False' ? ready.message || ready.reason : '';
  return { version, name, uid, resourceVersion, labels, isEnding: deletesAt !== null, problem };
}
