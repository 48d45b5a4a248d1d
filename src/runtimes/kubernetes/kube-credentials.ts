/**
 * Where the cluster is and who we are. Kubeconfig files, in-cluster tokens and credential plugins are the business of
 * @kubernetes/client-node, which is loaded when the first cluster is opened; it does not send anything.
 */
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent, type RequestOptions } from 'node:https';
import { delimiter } from 'node:path';
import type { KubeConfig } from '@kubernetes/client-node';
import { KubeError } from './kube-error.ts';

export interface KubeConfigInput {
  /** Path of a kubeconfig file, or several as KUBECONFIG has them. Absent: KUBECONFIG, ~/.kube/config, the service account of the pod, in this order. */
  readonly kubeconfig?: string;
  /** Of the kubeconfig file; its current one if absent. */
  readonly context?: string;
  /** The context's if absent. */
  readonly namespace?: string;
  /** In place of all files: nothing of this machine is asked. */
  readonly cluster?: InlineCluster;
}

/** A cluster and who we are there; certificates and keys in base64. */
export interface InlineCluster {
  readonly server: string;
  readonly tlsServerName?: string | undefined;
  readonly caData?: string | undefined;
  readonly skipTlsVerify?: boolean | undefined;
  readonly token?: string | undefined;
  readonly certData?: string | undefined;
  readonly keyData?: string | undefined;
}

/** What a request needs to reach the server and to be let in. */
export interface KubeConnection {
  readonly url: URL;
  readonly options: RequestOptions;
}

/** Sockets for calls and watches together; an exec has one of its own. */
const MAX_SOCKETS = 64;
const MAX_IDLE_SOCKETS = 8;
/** Credentials that were refused are read anew at most this often. */
const RENEW_EVERY_MS = 10_000;
/** Longer than a credential plugin may take, so a hanging one is not waited for by everybody after. */
const APPLY_MS = 30_000;

/** Kubernetes' credentials for a process that lives for months: tokens are read again, plugins are asked again. */
export class KubeCredentials {
  readonly namespace: string;
  readonly server: URL;
  readonly #input: KubeConfigInput;
  readonly #agents: { readonly calls: HttpAgent | HttpsAgent; readonly upgrades: HttpAgent | HttpsAgent };
  #config: KubeConfig;
  #loadedAt = performance.now();
  #applying: Promise<RequestOptions> | null = null;
  #renewing: Promise<void> | null = null;

  constructor(input: KubeConfigInput, config: KubeConfig) {
    const server = serverOf(config);
    this.#input = input;
    this.#config = config;
    this.server = server;
    this.namespace =
      input.namespace ?? (config.getContextObject(config.getCurrentContext())?.namespace?.trim() || 'default');
    const Agent = server.protocol === 'https:' ? HttpsAgent : HttpAgent;
    const limits = { maxSockets: MAX_SOCKETS, maxFreeSockets: MAX_IDLE_SOCKETS, scheduling: 'lifo' as const };
    // An upgrade on a kept socket fails when the server has just closed it, and cannot simply be tried again.
    this.#agents = { calls: new Agent({ ...limits, keepAlive: true }), upgrades: new Agent({ keepAlive: false }) };
  }

  /** As the kubeconfig file names it; `inClusterContext` is the service account of the pod. */
  get context(): string {
    return this.#config.getCurrentContext();
  }

  /** Rejects with a KubeError when the file, the token or the plugin gives nothing to use. */
  async connect(use: 'calls' | 'upgrades'): Promise<KubeConnection> {
    const proxyUrl = this.#config.getCurrentCluster()?.proxyUrl;
    if (proxyUrl !== undefined && !URL.canParse(proxyUrl)) throw notConfigured('its proxy-url is no URL');
    try {
      // What goes wrong there is said to whoever has asked for it; the old ones may still do.
      await this.#renewing?.catch(() => {});
      const { agent: proxy, ...options } = await this.#apply();
      const agent = proxyUrl === undefined ? this.#agents[use] : proxy;
      return { url: this.server, options: { ...options, ...(agent === undefined ? {} : { agent }) } };
    } catch (error) {
      // A plugin asks somebody else, who may be away for a moment.
      const message = error instanceof Error ? error.message : String(error);
      throw new KubeError({ status: null, reason: 'NoCredentials', message, retryable: true });
    }
  }

  /**
   * The server has refused them to a call that began at `usedAt` (performance.now()): what is kept of them is forgotten.
   * True when another try is worth it.
   */
  async renew(usedAt: number): Promise<boolean> {
    if (this.#loadedAt < usedAt) {
      if (performance.now() - this.#loadedAt < RENEW_EVERY_MS) return false;
      this.#loadedAt = performance.now();
      this.#renewing = this.#load().finally(() => {
        this.#renewing = null;
      });
    }
    await this.#renewing;
    return true;
  }

  close(): void {
    this.#agents.calls.destroy();
    this.#agents.upgrades.destroy();
  }

  async #load(): Promise<void> {
    this.#config = await loadConfig(this.#input);
    this.#applying = null;
  }

  /** A plugin is a process: calls that begin at the same moment share one. */
  #apply(): Promise<RequestOptions> {
    this.#applying ??= this.#readOptions().finally(() => {
      this.#applying = null;
    });
    return this.#applying;
  }

  async #readOptions(): Promise<RequestOptions> {
    const options: RequestOptions = { headers: {} };
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`it gave no credentials within ${APPLY_MS / 1000} s`)), APPLY_MS);
    });
    try {
      await Promise.race([this.#config.applyToHTTPSOptions(options), late]);
    } finally {
      clearTimeout(timer);
    }
    return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  }
}

/** Rejects with a KubeError (NotConfigured) that says what is missing. */
export async function openKubeCredentials(input: KubeConfigInput): Promise<KubeCredentials> {
  return new KubeCredentials(input, await loadConfig(input));
}

async function loadConfig(input: KubeConfigInput): Promise<KubeConfig> {
  const { KubeConfig } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  try {
    if (input.cluster !== undefined) loadInline(config, input.cluster);
    else if (input.kubeconfig === undefined) config.loadFromDefault();
    else loadFiles(config, KubeConfig, input.kubeconfig);
  } catch (error) {
    throw notConfigured(error instanceof Error ? error.message : String(error));
  }
  if (input.context !== undefined) config.setCurrentContext(input.context);
  return config;
}

function loadInline(
  config: KubeConfig,
  { server, tlsServerName, caData, skipTlsVerify, ...user }: InlineCluster,
): void {
  const name = 'inline';
  const cluster = { name, server, caData, tlsServerName, skipTLSVerify: skipTlsVerify ?? false };
  config.loadFromOptions({
    clusters: [present(cluster)],
    users: [present({ name, ...user })],
    contexts: [{ name, cluster: name, user: name }],
    currentContext: name,
  });
}

function present(object: object): object {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}

/** The first file that names a current context decides it, as for kubectl. */
function loadFiles(config: KubeConfig, Config: typeof KubeConfig, paths: string): void {
  const [first = '', ...others] = paths.split(delimiter).filter((path) => path !== '');
  config.loadFromFile(first);
  for (const path of others) {
    const other = new Config();
    other.loadFromFile(path);
    config.mergeConfig(other, Boolean(config.getCurrentContext()));
  }
}

function serverOf(config: KubeConfig): URL {
  const cluster = config.getCurrentCluster();
  const url = URL.parse(cluster?.server ?? '');
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw notConfigured(`the context ${JSON.stringify(config.getCurrentContext())} names no cluster`);
  }
  // What the client library falls back to when it finds neither a file nor a service account.
  if (cluster?.name === 'cluster' && cluster.server === 'http://localhost:8080') {
    throw notConfigured('there is no kubeconfig file and no service account');
  }
  return url;
}

function notConfigured(why: string): KubeError {
  return new KubeError({
    status: null,
    reason: 'NotConfigured',
    message: `The Kubernetes cluster cannot be used: ${why}. Set KUBECONFIG to a kubeconfig file, or run in a pod with a service account.`,
    retryable: false,
  });
}
