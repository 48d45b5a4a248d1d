/**
 * The definition of Sandbox objects (agents.x-k8s.io) for a fake API server, and their controller: as the real one it makes a
 * pod of the same name with the template's labels, makes it again when it is gone, and puts the template's labels back.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type FakeKubeApi, type FakePod, isSelected, sendStatus } from './fake-kube-api.ts';

export interface FakeSandbox {
  readonly metadata: { name: string; uid: string; resourceVersion: string; labels: Record<string, string> };
  readonly spec: { podTemplate: { metadata: { labels: Record<string, string>; annotations: object }; spec: object } };
  readonly status: { conditions: object[] };
}

export interface FakeSandboxes {
  /** As they are now. */
  readonly all: readonly FakeSandbox[];
  /** One round of the controller. */
  control(): Promise<void>;
  /** Why there is no pod, in the controller's words. */
  refuse(name: string, message: string): void;
}

interface Body {
  metadata?: { name?: string; resourceVersion?: string; labels?: Record<string, string> };
  spec?: FakeSandbox['spec'];
  preconditions?: { uid?: string };
}

const GROUP = '/apis/agents.x-k8s.io';

/** Takes the place of `fake.answer`. */
export function serveSandboxes(
  fake: FakeKubeApi,
  versions: readonly string[] = ['v1beta1', 'v1alpha1'],
): FakeSandboxes {
  const sandboxes = new Map<string, FakeSandbox>();
  const path = new RegExp(`^${GROUP}/(?:${versions.join('|')})/namespaces/builds/sandboxes(?:/([^/?]+))?(?:\\?|$)`);
  fake.answer = async (request, response) => {
    if (request.url === GROUP) {
      return sendJson(response, 200, { kind: 'APIGroup', versions: versions.map((version) => ({ version })) });
    }
    const [whole, name] = path.exec(request.url ?? '') ?? [];
    return whole === undefined ? false : change({ sandboxes, request, response, name });
  };
  return {
    get all() {
      return [...sandboxes.values()];
    },
    async control() {
      for (const sandbox of sandboxes.values()) {
        const pod = fake.pods.find(({ metadata }) => metadata.name === sandbox.metadata.name);
        await call(fake, pod ? 'PATCH' : 'POST', pod ? metadataOf(sandbox, pod) : podOf(sandbox));
      }
    },
    refuse(name, message) {
      sandboxes.get(name)?.status.conditions.splice(0, 1, {
        ...{ type: 'Ready', status: 'False', reason: 'ReconcilerError', message: `Error seen: ${message}` },
      });
    },
  };
}

async function change(input: {
  sandboxes: Map<string, FakeSandbox>;
  request: IncomingMessage;
  response: ServerResponse;
  name: string | undefined;
}): Promise<true> {
  const { sandboxes, request, response } = input;
  const text = Buffer.concat(await Array.fromAsync(request as AsyncIterable<Buffer>)).toString();
  const { metadata = {}, spec, preconditions = {} } = JSON.parse(text || '{}') as Body;
  const name = input.name ?? metadata.name ?? '';
  if (input.name === undefined && request.method === 'GET') {
    const selector = new URL(request.url ?? '', 'http://fake').searchParams.get('labelSelector') ?? '';
    const items = [...sandboxes.values()].filter((sandbox) => isSelected(sandbox, selector));
    return sendJson(response, 200, { kind: 'SandboxList', metadata: {}, items });
  }
  const there = sandboxes.get(name);
  if (request.method === 'POST') {
    if (there || !spec) return sendStatus(response, 409, 'AlreadyExists', `sandboxes "${name}" already exists`);
    const made = {
      metadata: { name, uid: randomUUID(), resourceVersion: '1', labels: metadata.labels ?? {} },
      spec,
      status: { conditions: [] },
    };
    sandboxes.set(name, made);
    return sendJson(response, 201, made);
  }
  if (!there) return sendStatus(response, 404, 'NotFound', `sandboxes "${name}" not found`);
  if ((preconditions.uid ?? there.metadata.uid) !== there.metadata.uid) {
    return sendStatus(response, 409, 'Conflict', 'Precondition failed: UID in precondition');
  }
  if ((metadata.resourceVersion ?? there.metadata.resourceVersion) !== there.metadata.resourceVersion) {
    return sendStatus(response, 409, 'Conflict', `Operation cannot be fulfilled on sandboxes "${name}"`);
  }
  if (request.method === 'DELETE') sandboxes.delete(name);
  if (request.method === 'PATCH') {
    there.metadata.resourceVersion = String(Number(there.metadata.resourceVersion) + 1);
    Object.assign(there.metadata.labels, metadata.labels);
    Object.assign(there.spec.podTemplate.metadata.labels, spec?.podTemplate.metadata.labels);
  }
  return sendJson(response, 200, there);
}

function podOf({ metadata, spec }: FakeSandbox): object {
  const owner = { apiVersion: 'agents.x-k8s.io/v1beta1', kind: 'Sandbox', name: metadata.name, uid: metadata.uid };
  const ownerReferences = [{ ...owner, controller: true, blockOwnerDeletion: true }];
  const { podTemplate } = spec;
  return { metadata: { name: metadata.name, ...podTemplate.metadata, ownerReferences }, spec: podTemplate.spec };
}

function metadataOf({ spec }: FakeSandbox, { metadata }: FakePod): object {
  return { metadata: { name: metadata.name, labels: spec.podTemplate.metadata.labels } };
}

async function call(fake: FakeKubeApi, method: 'POST' | 'PATCH', body: object): Promise<void> {
  const pods = `http://127.0.0.1:${fake.port}/api/v1/namespaces/builds/pods`;
  const { name } = (body as { metadata: { name: string } }).metadata;
  const answer = await fetch(method === 'POST' ? pods : `${pods}/${name}`, { method, body: JSON.stringify(body) });
  if (!answer.ok && answer.status !== 404 && answer.status !== 409) throw new Error(await answer.text());
}

function sendJson(response: ServerResponse, status: number, body: object): true {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
  return true;
}
