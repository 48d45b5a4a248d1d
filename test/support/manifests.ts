/** What is shipped under deploy/kustomize, rendered as `kubectl apply -k` does it. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';
import { loadAllYaml, type V1PodTemplateSpec } from '@kubernetes/client-node';

/** An object of any kind; tests look into what they know of it. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { name: string; namespace?: string };
  /** Its shape is the kind's own. */
  readonly spec?: ReturnType<typeof JSON.parse>;
  readonly data?: Readonly<Record<string, string>>;
  readonly rules?: readonly { apiGroups: string[]; resources: string[]; verbs: string[] }[];
  readonly subjects?: { name: string; namespace: string }[];
}

const KUSTOMIZE = join(import.meta.dirname, '../../deploy/kustomize');
const OVERLAYS = join(KUSTOMIZE, 'overlays');

/** Why they cannot be rendered here; empty when they can. */
export const KUSTOMIZE_PROBLEM: string = await promisify(execFile)('kubectl', ['kustomize', '--help']).then(
  () => '',
  (error: unknown) => String(error),
);
if (KUSTOMIZE_PROBLEM !== '') console.log(`Tests of the manifests are skipped: ${KUSTOMIZE_PROBLEM}`);

export async function listOverlays(): Promise<string[]> {
  return (await readdir(OVERLAYS)).sort();
}

/** Rejects with kubectl's own words. */
export function renderOverlay(name: string): Promise<Manifest[]> {
  return renderFolder(join(OVERLAYS, name));
}

/** The overlay `small` with a component more. Rejects with kubectl's own words. */
export async function renderWith(component: string): Promise<Manifest[]> {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-component-'));
  try {
    const path = (of: string) => relative(folder, join(KUSTOMIZE, of));
    const kustomization = { resources: [path('overlays/small')], components: [path(`components/${component}`)] };
    await writeFile(join(folder, 'kustomization.yaml'), JSON.stringify(kustomization));
    return await renderFolder(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Of a kustomization. Rejects with kubectl's own words. */
export async function renderFolder(folder: string): Promise<Manifest[]> {
  return parseManifests((await promisify(execFile)('kubectl', ['kustomize', folder])).stdout);
}

export function parseManifests(yaml: string): Manifest[] {
  return (loadAllYaml(yaml) as (Manifest | null)[]).filter((manifest) => manifest !== null);
}

/** Deployments, Jobs. */
export function podTemplates(manifests: readonly Manifest[]): { name: string; template: V1PodTemplateSpec }[] {
  return manifests
    .filter(({ spec }) => spec?.template !== undefined)
    .map(({ kind, metadata, spec }) => ({ name: `${kind} ${metadata.name}`, template: spec.template }));
}

/** As they would be in another namespace; Namespaces are left out. */
export function moveTo(namespace: string, manifests: readonly Manifest[]): Manifest[] {
  return manifests
    .filter(({ kind }) => kind !== 'Namespace')
    .map((manifest) => ({ ...manifest, metadata: { ...manifest.metadata, namespace } }));
}
