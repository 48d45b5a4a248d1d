/** The chart is what kustomize renders. Helm itself is not asked: its templates use nothing but values. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadYaml } from '@kubernetes/client-node';
import { describe, expect, test } from 'vitest';
import { generateTemplates } from '../../deploy/helm/generate.ts';
import { KUSTOMIZE_PROBLEM, type Manifest, parseManifests, renderOverlay } from '../support/manifests.ts';

const CHART = join(import.meta.dirname, '../../deploy/helm/slipway');
const ACTION = /\{\{ (.+?) \}\}/g;
const CHECKSUM = 'include (print $.Template.BasePath `/config-map.yaml`) . | sha256sum';

type Json = ReturnType<typeof JSON.parse>;

const values: Json = loadYaml(readFileSync(join(CHART, 'values.yaml'), 'utf8'));
const templates = readdirSync(join(CHART, 'templates')).filter((name) => name.endsWith('.yaml'));
const read = (name: string) => readFileSync(join(CHART, 'templates', name), 'utf8');

/** As Helm does it with these few actions. */
function render(text: string): string {
  return text.replaceAll(ACTION, (_, action: string) => {
    if (action === '.Release.Namespace') return 'slipway';
    if (action === CHECKSUM) return 'checksum';
    const value: Json = action
      .replace(/^\.Values\./, '')
      .split('.')
      .reduce((found: Json, key) => found?.[key], values);
    if (value === undefined || typeof value === 'object') throw new Error(`values.yaml has no ${action}`);
    return String(value);
  });
}

/** Without what the two are meant to differ in. */
function comparable({ metadata, spec, data, ...rest }: Manifest): object {
  const { annotations: _, ...named } = metadata as Manifest['metadata'] & { annotations?: object };
  const text = JSON.stringify({ ...rest, metadata: named, spec });
  const { spec: inner, ...manifest }: Json = JSON.parse(text.replaceAll(/"slipway-[a-z0-9]{10}"/g, '"slipway"'));
  delete inner?.template?.metadata?.annotations;
  if (rest.kind === 'Job') delete inner.template.spec.serviceAccountName;
  const { SLIPWAY_WORKER_CAPACITY: _capacity, SLIPWAY_PUBLIC_URL: _url, ...settings } = data ?? {};
  return { ...manifest, spec: inner, settings };
}

describe.skipIf(KUSTOMIZE_PROBLEM)('the Helm chart', () => {
  test('is as node deploy/helm/generate.ts makes it', () => {
    const generated = generateTemplates();
    expect(templates).toEqual([...generated.keys()].sort());
    for (const [name, content] of generated) expect(read(name)).toBe(content);
  });

  test('makes with its own values what the overlay "small" makes', async () => {
    const chart = templates.flatMap((name) => parseManifests(render(read(name))));
    const overlay = (await renderOverlay('small')).filter(
      ({ kind, metadata }) => !(kind === 'Namespace' && metadata.name === 'slipway'),
    );
    const sorted = (manifests: readonly Manifest[]) =>
      manifests
        .map(comparable)
        .map((one) => JSON.stringify(sortKeys(one)))
        .sort();
    expect(sorted(chart)).toEqual(sorted(overlay));
  });

  test('every value is used, in its notes or templates', () => {
    const text = [...templates, 'NOTES.txt'].map(read).join('\n');
    const used = new Set([...text.matchAll(ACTION)].map(([, action]) => action));
    expect(pathsOf(values).filter((path) => !used.has(`.Values.${path}`))).toEqual([]);
    expect(() => render(read('NOTES.txt'))).not.toThrow();
  });
});

function pathsOf(value: Json, prefix = ''): string[] {
  return Object.entries(value).flatMap(([key, inner]) =>
    typeof inner === 'object' && inner !== null ? pathsOf(inner, `${prefix}${key}.`) : [`${prefix}${key}`],
  );
}

function sortKeys(value: Json): Json {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sortKeys(value[key])]),
  );
}
