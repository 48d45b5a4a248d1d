/**
 * `node deploy/helm/generate.ts` makes the templates of the Helm chart of the manifests that kustomize renders, so that
 * there is one source of both; with `--check` it says whether they are the same. Needs kubectl.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadAllYaml } from '@kubernetes/client-node';

interface Manifest {
  readonly kind: string;
  metadata: { name: string; namespace?: string; annotations?: Record<string, string> };
  data?: Record<string, string>;
}

const CHART = join(import.meta.dirname, 'slipway');
const OVERLAY = join(import.meta.dirname, '../kustomize/overlays/small');
const HEADER = '# Made by deploy/helm/generate.ts; changes belong into deploy/kustomize.\n';

/** What a chart's user decides: the rendered text -> the value. Texts are whole scalars. */
const SCALARS: ReadonlyMap<string, string> = new Map([
  ['registry.example.com/slipway:0.1.0', '{{ .Values.image.repository }}:{{ .Values.image.tag }}'],
  ['slipway-agent:1', '{{ .Values.agentImage }}'],
  ['slipway-builds', '{{ .Values.buildsNamespace }}'],
]);
/** Keys of Secrets' references. */
const SECRETS: ReadonlyMap<string, string> = new Map([
  ['slipway', '{{ .Values.secretName }}'],
  ['slipway-models', '{{ .Values.modelsSecretName }}'],
]);

/** File name -> content. */
export function generateTemplates(): Map<string, string> {
  const rendered = execFileSync('kubectl', ['kustomize', OVERLAY], { encoding: 'utf8' });
  const manifests = (loadAllYaml(rendered) as Manifest[]).filter(
    // Helm makes the namespace that it installs into.
    ({ kind, metadata }) => !(kind === 'Namespace' && metadata.name === 'slipway'),
  );
  const settings = manifests.find(({ kind }) => kind === 'ConfigMap')?.metadata.name ?? '';
  const files = new Map<string, string[]>();
  for (const manifest of manifests) {
    adapt(manifest, settings);
    const name = `${manifest.kind.replace(/(?<=[a-z])(?=[A-Z])/g, '-').toLowerCase()}.yaml`;
    files.set(name, [...(files.get(name) ?? []), JSON.stringify(replaceScalars(manifest, settings), null, 2)]);
  }
  // JSON is YAML; numbers must not be quoted.
  const unquoted = (text: string) => text.replaceAll(/"(\{\{ \.Values\.(?:api|worker)\.replicas \}\})"/g, '$1');
  return new Map([...files].map(([name, parts]) => [name, unquoted(`${HEADER}${parts.join('\n---\n')}\n`)]));
}

/** What differs between kustomize and Helm. */
function adapt(manifest: Manifest, settings: string): void {
  const { kind, metadata, data } = manifest;
  if (kind === 'Job') {
    // A Job cannot be changed: Helm makes it anew, before everything else, its account included.
    const { spec } = manifest as Manifest & { spec: { template: { spec: { serviceAccountName?: string } } } };
    delete spec.template.spec.serviceAccountName;
    metadata.annotations = {
      'helm.sh/hook': 'pre-install,pre-upgrade',
      'helm.sh/hook-delete-policy': 'before-hook-creation,hook-succeeded',
    };
  }
  if (metadata.name === settings && data) {
    data.SLIPWAY_WORKER_CAPACITY = '{{ .Values.worker.capacity }}';
    data.SLIPWAY_PUBLIC_URL = '{{ .Values.publicUrl }}';
  }
  if (kind === 'Deployment') {
    const { spec } = manifest as Manifest & {
      spec: { replicas: unknown; template: { metadata: Manifest['metadata'] } };
    };
    spec.replicas = `{{ .Values.${metadata.name.replace('slipway-', '')}.replicas }}`;
    // The name of the settings does not change with them here.
    spec.template.metadata.annotations = {
      'checksum/settings': '{{ include (print $.Template.BasePath `/config-map.yaml`) . | sha256sum }}',
    };
  }
}

function replaceScalars(value: unknown, settings: string, key = ''): unknown {
  if (Array.isArray(value)) return value.map((item) => replaceScalars(item, settings, key));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([name, inner]) => {
        if (name === 'secretKeyRef' || name === 'secretRef') return [name, withSecretName(inner)];
        return [name, replaceScalars(inner, settings, name)];
      }),
    );
  }
  if (typeof value !== 'string') return value;
  if (value === settings) return 'slipway';
  if (key === 'namespace' && value === 'slipway') return '{{ .Release.Namespace }}';
  return SCALARS.get(value) ?? value;
}

function withSecretName(reference: { readonly name: string }): object {
  return { ...reference, name: SECRETS.get(reference.name) ?? reference.name };
}

if (process.argv[1] === import.meta.filename) {
  for (const [name, content] of generateTemplates()) {
    const file = join(CHART, 'templates', name);
    if (!process.argv.includes('--check')) writeFileSync(file, content);
    else if (readFileSync(file, 'utf8') !== content)
      throw new Error(`${file} is not what kustomize renders: run it anew.`);
  }
}
