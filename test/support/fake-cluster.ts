/** As much of a cluster as deployments need, on the fake API server: kinds, server-side apply, and roll-outs that take a while. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type FakeKubeApi, openFakeKubeApi, sendStatus } from './fake-kube-api.ts';

export interface FakeCluster extends AsyncDisposable {
  readonly api: FakeKubeApi;
  /** A kubeconfig with what it needs in the file itself. */
  readonly kubeconfig: string;
  /** By path, as they were applied. */
  readonly objects: ReadonlyMap<string, Readonly<Record<string, unknown>>>;
  /** The status of an object that is asked for the `looks`-th time. */
  status: (kind: string, looks: number) => object;
  /** Says why an object is refused; null when it is not. */
  refuse: (object: Readonly<Record<string, unknown>>) => { readonly code: number; readonly message: string } | null;
}

const RESOURCES: Readonly<Record<string, readonly object[]>> = {
  '/api/v1': [
    { name: 'namespaces', kind: 'Namespace', namespaced: false },
    { name: 'configmaps', kind: 'ConfigMap', namespaced: true },
    { name: 'services', kind: 'Service', namespaced: true },
    { name: 'services/status', kind: 'Service', namespaced: true },
  ],
  '/apis/apps/v1': [{ name: 'deployments', kind: 'Deployment', namespaced: true }],
  '/apis/networking.k8s.io/v1': [{ name: 'ingresses', kind: 'Ingress', namespaced: true }],
};

export const FAKE_TOKEN = 'fake-token-of-the-cluster';

export async function openFakeCluster(): Promise<FakeCluster> {
  const api = await openFakeKubeApi();
  const objects = new Map<string, Record<string, unknown>>();
  const looks = new Map<string, number>();
  const cluster: FakeCluster = {
    api,
    objects,
    kubeconfig: JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'c', cluster: { server: `http://127.0.0.1:${api.port}`, 'insecure-skip-tls-verify': true } }],
      users: [{ name: 'u', user: { token: FAKE_TOKEN } }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u', namespace: 'shop' } }],
      'current-context': 'x',
    }),
    status: () => ({ observedGeneration: 1, updatedReplicas: 1, replicas: 1, availableReplicas: 1 }),
    refuse: () => null,
    [Symbol.asyncDispose]: () => api[Symbol.asyncDispose](),
  };
  api.answer = async (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://fake');
    if (request.headers.authorization !== `Bearer ${FAKE_TOKEN}`)
      return sendStatus(response, 401, 'Unauthorized', 'who?');
    const resources = RESOURCES[pathname];
    if (resources) return send(response, { kind: 'APIResourceList', resources });
    if (request.method === 'PATCH') return apply(cluster, objects, { request, response, pathname });
    const object = objects.get(pathname);
    if (!object) return sendStatus(response, 404, 'NotFound', 'not found');
    looks.set(pathname, (looks.get(pathname) ?? 0) + 1);
    const status = cluster.status(String(object.kind), looks.get(pathname) ?? 0);
    return send(response, { ...object, metadata: { ...(object.metadata as object), generation: 1 }, status });
  };
  return cluster;
}

async function apply(
  { refuse }: FakeCluster,
  objects: Map<string, Record<string, unknown>>,
  { request, response, pathname }: { request: IncomingMessage; response: ServerResponse; pathname: string },
): Promise<boolean> {
  const body = JSON.parse((await Array.fromAsync(request as AsyncIterable<Buffer>)).join('')) as Record<
    string,
    unknown
  >;
  if (request.headers['content-type'] !== 'application/apply-patch+yaml') {
    return sendStatus(response, 415, 'UnsupportedMediaType', 'not an apply');
  }
  const refused = refuse(body);
  if (refused) return sendStatus(response, refused.code, 'Invalid', refused.message);
  objects.set(pathname, body);
  return send(response, body);
}

function send(response: ServerResponse, body: object): true {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
  return true;
}
