/** What `kubectl apply -k` would make: least privilege, settings that exist, and figures that Slipway has. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { sql } from 'kysely';
import { describe, expect, test } from 'vitest';
import { SANDBOX_VERBS } from '../../src/cli/doctor-kubernetes-sandbox.ts';
import { readConfig } from '../../src/config/config.ts';
import { OPTIONS } from '../../src/config/options.ts';
import { openTestDatabase } from '../support/database.ts';
import {
  KUSTOMIZE_PROBLEM,
  listOverlays,
  type Manifest,
  parseManifests,
  podTemplates,
  renderOverlay,
  renderWith,
} from '../support/manifests.ts';
import { restrictedViolations } from '../support/pod-security.ts';

const DEPLOY = join(import.meta.dirname, '../../deploy');
/** After its drain, a worker waits this long at most for what is being pushed. */
const LEAVE_SECONDS = 30;

const overlays = KUSTOMIZE_PROBLEM === '' ? await listOverlays() : [];
const rendered = await Promise.all(overlays.map(async (name) => ({ name, manifests: await renderOverlay(name) })));

const settingsOf = (manifests: readonly Manifest[]) =>
  manifests.find(({ kind, metadata }) => kind === 'ConfigMap' && /^slipway-[a-z0-9]{10}$/.test(metadata.name))?.data ??
  {};

const containersOf = (manifests: readonly Manifest[]) =>
  podTemplates(manifests).flatMap(({ template }) => template.spec?.containers ?? []);

test.skipIf(KUSTOMIZE_PROBLEM)('there are a small overlay, one for production and one for Kubernetes 1.20', () => {
  expect(overlays).toEqual(['kubernetes-1.20', 'production', 'small']);
});

describe.each(rendered)('$name', ({ manifests }) => {
  const templates = podTemplates(manifests);

  test('is API, worker and migration, and no Secret', () => {
    expect(templates.map(({ name }) => name).sort()).toEqual([
      'Deployment slipway-api',
      'Deployment slipway-worker',
      'Job slipway-migrate',
    ]);
    expect(manifests.filter(({ kind }) => kind === 'Secret')).toEqual([]);
    const ids = manifests.map(({ kind, metadata }) => `${kind} ${metadata.namespace} ${metadata.name}`);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('has no right outside of the namespace of builds', () => {
    const cluster = ['ClusterRole', 'ClusterRoleBinding'];
    expect(manifests.filter(({ kind }) => cluster.includes(kind))).toEqual([]);
    const access = manifests.filter(({ kind }) => kind === 'Role' || kind === 'RoleBinding');
    expect(access.map(({ metadata }) => metadata.namespace)).toEqual(['slipway-builds', 'slipway-builds']);
    expect(access.flatMap(({ subjects = [] }) => subjects)).toMatchObject([
      { name: 'slipway-worker', namespace: 'slipway' },
    ]);
    expect(access.flatMap(({ rules = [] }) => rules)).toEqual([
      { apiGroups: [''], resources: ['pods'], verbs: ['create', 'get', 'list', 'watch', 'patch', 'delete'] },
      { apiGroups: [''], resources: ['pods/exec'], verbs: ['create', 'get'] },
      { apiGroups: [''], resources: ['pods/log'], verbs: ['get'] },
    ]);
  });

  test('keeps the profile "restricted", and more', () => {
    for (const { name, template } of templates) {
      const { spec } = template;
      if (!spec) throw new Error(`${name} has no pod`);
      expect.soft(restrictedViolations(spec, template.metadata), name).toEqual([]);
      expect.soft(spec.automountServiceAccountToken, name).toBe(name === 'Deployment slipway-worker');
      expect.soft(spec.enableServiceLinks, name).toBe(false);
      expect.soft(spec.securityContext?.runAsUser, name).toBe(1000);
      for (const { securityContext, resources } of spec.containers) {
        expect.soft(securityContext?.readOnlyRootFilesystem, name).toBe(true);
        expect.soft(Object.keys(resources?.limits ?? {}), name).toEqual(['ephemeral-storage', 'memory']);
        expect.soft(Object.keys(resources?.requests ?? {}), name).toEqual(['cpu', 'ephemeral-storage', 'memory']);
      }
    }
  });

  test('has images of one version, and pods of builds get the same', () => {
    const images = containersOf(manifests).map(({ image = '' }) => image);
    expect(new Set(images).size).toBe(1);
    expect(images[0]).toMatch(/^[a-z0-9./-]+:(?!latest$)[\w.-]+$/);
    const tools = containersOf(manifests).flatMap(({ env = [] }) =>
      env.filter(({ name }) => name === 'SLIPWAY_KUBERNETES_TOOLS_IMAGE').map(({ value }) => value),
    );
    expect(tools).toEqual([images[0], images[0]]);
  });

  test('is configured by options that exist, with values that are taken', () => {
    const known = new Set(Object.values(OPTIONS).map(({ env }) => env));
    const settings = settingsOf(manifests);
    const named = containersOf(manifests).flatMap(({ env = [] }) => env.map(({ name }) => name));
    expect([...Object.keys(settings), ...named].filter((name) => !known.has(name as never))).toEqual([]);
    const tools = { SLIPWAY_KUBERNETES_TOOLS_IMAGE: 'registry.example.com/slipway:1' };
    expect(readConfig({ ...settings, ...tools })).toMatchObject({ runtime: 'kubernetes', dataFolder: '/data' });
  });

  test('asks of its Secrets only what the template of them has', () => {
    const template = parseManifests(readFileSync(join(DEPLOY, 'kustomize/secret.example.yaml'), 'utf8'));
    const offered = template.map(({ metadata }) => metadata.name);
    const asked = containersOf(manifests).flatMap(({ env = [], envFrom = [] }) => [
      ...env.flatMap(({ valueFrom }) => valueFrom?.secretKeyRef ?? []),
      ...envFrom.flatMap(({ secretRef }) => secretRef ?? []),
    ]);
    expect(asked.filter(({ name }) => !offered.includes(name ?? ''))).toEqual([]);
    const needed = asked.flatMap((ref) => ('key' in ref && !ref.optional ? [ref.key] : []));
    const keys = template.flatMap((secret) => Object.keys((secret as { stringData?: object }).stringData ?? {}));
    expect(needed.filter((key) => !keys.includes(key))).toEqual([]);
  });

  test('gives a pod the time that its drain takes', () => {
    const { SLIPWAY_DRAIN_SECONDS: drain } = settingsOf(manifests);
    for (const { name, template } of templates.filter(({ name }) => name.startsWith('Deployment'))) {
      expect(template.spec?.terminationGracePeriodSeconds, name).toBeGreaterThan(Number(drain) + LEAVE_SECONDS + 5);
    }
  });

  test('probes what the processes answer', () => {
    const settings = settingsOf(manifests);
    const [api, worker] = ['api', 'worker'].map((name) => containersOf(manifests).find((found) => found.name === name));
    for (const container of [api, worker]) {
      expect(container?.livenessProbe?.httpGet).toEqual({ path: '/healthz', port: 'http' });
      expect(container?.readinessProbe?.httpGet).toEqual({ path: '/readyz', port: 'http' });
    }
    expect(api?.ports?.[0]?.containerPort).toBe(readConfig({}).port);
    expect(String(worker?.ports?.[0]?.containerPort)).toBe(settings.SLIPWAY_WORKER_PORT);
  });
});

describe.skipIf(KUSTOMIZE_PROBLEM)('the components', () => {
  const production = rendered.find(({ name }) => name === 'production')?.manifests ?? [];

  test('workers are counted by a query that the database answers', async () => {
    const scaled = production.find(({ kind }) => kind === 'ScaledObject');
    await using database = await openTestDatabase();
    const { rows } = await sql.raw<{ count: number }>(scaled?.spec.triggers[0].metadata.query).execute(database.db);
    expect(rows).toEqual([{ count: 0 }]);
    const worker = production.find(({ kind, metadata }) => kind === 'Deployment' && metadata.name === 'slipway-worker');
    expect(worker?.spec).not.toHaveProperty('replicas');
  });

  test('Sandboxes are asked for with the rights that they need, in the namespace of builds', async () => {
    const manifests = await renderWith('agent-sandbox');
    expect(settingsOf(manifests)).toMatchObject({ SLIPWAY_KUBERNETES_SANDBOX: 'true', SLIPWAY_RUNTIME: 'kubernetes' });
    const access = manifests.filter(({ metadata }) => metadata.name === 'slipway-worker-sandboxes');
    expect(access.map(({ kind, metadata }) => `${kind} ${metadata.namespace}`)).toEqual([
      'Role slipway-builds',
      'RoleBinding slipway-builds',
    ]);
    expect(access[0]?.rules).toEqual([
      { apiGroups: ['agents.x-k8s.io'], resources: ['sandboxes'], verbs: SANDBOX_VERBS },
    ]);
    expect(access[1]?.subjects).toMatchObject([{ name: 'slipway-worker', namespace: 'slipway' }]);
  });

  test('the dashboard shows only figures that there are', () => {
    const source = ['open-metrics.ts', 'cicd-figures.ts'].map((file) => read(`../src/server/${file}`)).join('\n');
    const known = [...source.matchAll(/name: '((?:slipway|cicd)_[a-z_]+)'/g)].map(([, name]) => name ?? '');
    const text = production.find(({ metadata }) => metadata.name === 'slipway-dashboard')?.data?.['slipway.json'] ?? '';
    const { panels } = JSON.parse(text) as { panels: { targets: { expr: string }[] }[] };
    // Without labels, all that begins so is the name of a figure.
    const queries = panels.flatMap(({ targets }) =>
      targets.map(({ expr }) => expr.replace(/by \([^)]*\)|\{[^}]*\}/g, '')),
    );
    const shown = queries.flatMap((query) => query.match(/\b(?:slipway|cicd)_[a-z_]+/g) ?? []);
    expect(shown.length).toBeGreaterThan(5);
    expect(shown.filter((name) => !known.includes(name.replace(/_(bucket|count|sum)$/, '')))).toEqual([]);
  });
});

function read(path: string): string {
  return readFileSync(join(DEPLOY, path), 'utf8');
}
