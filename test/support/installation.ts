/** Slipway on the cluster, by `kubectl apply -k` of the overlay for Kubernetes 1.20, with a Postgres of this machine. */
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { HOST_FROM_PODS, runKubectl, SLIPWAY_IMAGE } from './cluster.ts';
import { openEmptyDatabase } from './database.ts';
import { openTcpProxy } from './tcp-proxy.ts';
import { waitFor } from './wait-for.ts';

/** Those of deploy/kustomize. */
export const CONTROL_NAMESPACE = 'slipway';
export const BUILDS_NAMESPACE = 'slipway-builds';

const KUSTOMIZE = join(import.meta.dirname, '../../deploy/kustomize');
const OVERLAY = join(KUSTOMIZE, 'overlays/kubernetes-1.20');
const NODE_DATA = join(KUSTOMIZE, 'components/node-data');
const API = 'app.kubernetes.io/component=api';
const TOKEN_CREATE = ['token', 'create', 'test', '--scope', 'admin', '--database', '--json'];
const KUBE_FOLDER = '/var/run/kube';
const WITH_KUBECONFIG = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'slipway-worker' },
  spec: {
    template: {
      spec: {
        containers: [
          {
            name: 'worker',
            env: [{ name: 'KUBECONFIG', value: `${KUBE_FOLDER}/config` }],
            volumeMounts: [{ name: 'kube', mountPath: KUBE_FOLDER }],
          },
        ],
        volumes: [{ name: 'kube', secret: { secretName: 'kubeconfig' } }],
      },
    },
  },
};
/** The containers of builds' pods that are Slipway's run the worker's image, as in the shipped overlays. */
const TOOLS_IMAGE = {
  source: { kind: 'Deployment', name: 'slipway-worker', fieldPath: 'spec.template.spec.containers.0.image' },
  targets: [
    {
      select: { kind: 'Deployment' },
      fieldPaths: ['spec.template.spec.containers.0.env.[name=SLIPWAY_KUBERNETES_TOOLS_IMAGE].value'],
    },
  ],
};
const START_MS = 180_000;
const REMOVAL_MS = 120_000;

export interface Installation extends AsyncDisposable {
  /** Of the API's pod, without a slash at the end. */
  readonly url: string;
  /** An administrator's. */
  readonly token: string;
  /** kubectl in the namespace of API and workers. */
  kubectl(args: readonly string[]): Promise<string>;
  /** A port of this machine's loopback, as the pods reach it: `10.244.0.1:…`. */
  expose(port: number): Promise<string>;
}

/** `settings`: options besides those of the overlay. What the processes share is a folder of this machine. Rejects with what the pods say when they do not become ready. */
export async function install(settings: Readonly<Record<string, string>> = {}): Promise<Installation> {
  await using opened = new AsyncDisposableStack();
  const kubectl: Installation['kubectl'] = (args) => runKubectl(['--namespace', CONTROL_NAMESPACE, ...args]);
  await refuseSecond();
  const database = opened.use(await openEmptyDatabase());
  const databaseUrl = new URL(database.url);
  databaseUrl.host = await expose(opened, Number(databaseUrl.port));
  const folder = await mkdtemp(join(tmpdir(), 'slipway-installation-'));
  opened.defer(() => rm(folder, { recursive: true, force: true }));
  const secrets = { 'database-url': databaseUrl.href, 'master-key': randomBytes(32).toString('base64') };
  const volume = await writeVolume(folder);
  const given = { settings, secrets, kubeconfig: await workersKubeconfig(opened), volume };
  await writeFile(join(folder, 'kustomization.yaml'), JSON.stringify(overlayOf(folder, given)));
  opened.defer(() => remove(volume));
  await runKubectl(['apply', '-k', folder]);
  await ready(kubectl);
  const made = await kubectl(['exec', 'deploy/slipway-api', '--', 'slipway', ...TOKEN_CREATE]);
  const address = await kubectl(['get', 'pod', '-l', API, '-o', 'jsonpath={.items[0].status.podIP}']);
  const resources = opened.move();
  return {
    url: `http://${address}:4400`,
    token: (JSON.parse(made) as { token: string }).token,
    kubectl,
    expose: (port) => expose(resources, port),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** Until the stack is disposed of. */
async function expose(stack: AsyncDisposableStack, port: number): Promise<string> {
  const proxy = stack.use(await openTcpProxy(port, HOST_FROM_PODS));
  return `${HOST_FROM_PODS}:${proxy.port}`;
}

interface Given {
  readonly settings: Readonly<Record<string, string>>;
  readonly secrets: Readonly<Record<string, string>>;
  readonly kubeconfig: string | null;
  /** Name of the volume that `volume.json` defines. */
  readonly volume: string;
}

function overlayOf(folder: string, { settings, secrets, kubeconfig, volume }: Given): object {
  const literals = (values: Readonly<Record<string, string>>) =>
    Object.entries(values).map(([name, value]) => `${name}=${value}`);
  const own = { name: 'slipway', namespace: CONTROL_NAMESPACE };
  const [, newName, newTag] = /^(.*):(.*)$/.exec(SLIPWAY_IMAGE) ?? [];
  const claim = [
    { op: 'add', path: '/spec/volumeName', value: volume },
    { op: 'add', path: '/spec/storageClassName', value: '' },
  ];
  return {
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    resources: [relative(folder, OVERLAY), 'volume.json'],
    components: [relative(folder, NODE_DATA)],
    images: [{ name: 'docker.io/local/slipway', newName, newTag }],
    replacements: [TOOLS_IMAGE],
    configMapGenerator: [{ ...own, behavior: 'merge', literals: literals(settings) }],
    secretGenerator: [
      { ...own, literals: literals(secrets) },
      ...(kubeconfig === null ? [] : [{ ...own, name: 'kubeconfig', literals: [`config=${kubeconfig}`] }]),
    ],
    patches: [
      { target: { kind: 'PersistentVolumeClaim' }, patch: JSON.stringify(claim) },
      ...(kubeconfig === null
        ? []
        : [{ target: { kind: 'Deployment', name: 'slipway-worker' }, patch: JSON.stringify(WITH_KUBECONFIG) }]),
    ],
  };
}

/** A folder of this machine as a volume, for a cluster that has no storage. Gives its name. */
async function writeVolume(folder: string): Promise<string> {
  const path = join(folder, 'shared');
  await mkdir(path);
  await chmod(path, 0o777);
  const name = `slipway-test-${randomBytes(4).toString('hex')}`;
  const volume = {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name },
    spec: {
      accessModes: ['ReadWriteOnce'],
      capacity: { storage: '50Gi' },
      persistentVolumeReclaimPolicy: 'Retain',
      hostPath: { path, type: 'Directory' },
    },
  };
  await writeFile(join(folder, 'volume.json'), JSON.stringify(volume));
  return name;
}

/**
 * How a worker reaches an API server that listens on the loopback of this machine, with the rights of its own account; null
 * where its pod finds the server by itself.
 */
async function workersKubeconfig(stack: AsyncDisposableStack): Promise<string | null> {
  const view = await runKubectl([
    'config',
    'view',
    '--minify',
    '--raw',
    '-o',
    'jsonpath={.clusters[0].cluster.server}',
  ]);
  const server = new URL(view);
  if (server.hostname !== '127.0.0.1') return null;
  const url = `https://${await expose(stack, Number(server.port))}`;
  const user = { 'token-file': '/var/run/secrets/kubernetes.io/serviceaccount/token' };
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server: url, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'worker', user }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'worker' } }],
    'current-context': 'test',
  });
}

async function refuseSecond(): Promise<void> {
  const names = [CONTROL_NAMESPACE, BUILDS_NAMESPACE];
  const found = await runKubectl(['get', 'namespaces', '--ignore-not-found', '-o', 'name', ...names]);
  if (found.trim() !== '') throw new Error(`There is a Slipway on this cluster already: ${found.trim()}`);
}

async function ready(kubectl: Installation['kubectl']): Promise<void> {
  const counts = 'jsonpath={range .items[*]}{.status.succeeded}{.status.readyReplicas}{","}{end}';
  const look = () => kubectl(['get', 'jobs,deployments', '-o', counts]);
  try {
    await waitFor(async () => (await look()) === '1,1,1,', { deadlineMs: START_MS, everyMs: 500, what: 'Slipway' });
  } catch (error) {
    const [pods, logs] = await Promise.all([
      kubectl(['describe', 'pods']),
      kubectl(['logs', '-l', 'app.kubernetes.io/name=slipway', '--tail=20', '--prefix']).catch(String),
    ]);
    throw new Error(`${error instanceof Error ? error.message : error}\n${pods}\n${logs}`);
  }
}

/** Waits until it is gone, so that it can be installed again. */
async function remove(volume: string): Promise<void> {
  const names = [CONTROL_NAMESPACE, BUILDS_NAMESPACE];
  await runKubectl(['delete', 'namespace', ...names, '--ignore-not-found', '--wait=false']);
  const look = () => runKubectl(['get', 'namespaces', '--ignore-not-found', '-o', 'name', ...names]);
  await waitFor(async () => (await look()).trim() === '', {
    deadlineMs: REMOVAL_MS,
    everyMs: 500,
    what: 'the removal',
  });
  await runKubectl(['delete', 'persistentvolume', volume, '--ignore-not-found', '--wait=false']);
}
