/** The overlay that deploy/README.md tells an operator to write. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { expect, test } from 'vitest';
import { KUSTOMIZE_PROBLEM, renderFolder } from '../support/manifests.ts';

const DEPLOY = join(import.meta.dirname, '../../deploy');

test.skipIf(KUSTOMIZE_PROBLEM)('has the images and git hosts of the operator', async () => {
  const readme = await readFile(join(DEPLOY, 'README.md'), 'utf8');
  const blocks = [...readme.matchAll(/^( *)```yaml\n(.*?)^ *```$/gms)].map(([, indent = '', text = '']) =>
    text.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
  );
  expect(blocks).toHaveLength(2);
  const folder = await mkdtemp(join(tmpdir(), 'slipway-overlay-'));
  try {
    const text = blocks
      .join('')
      .replaceAll('../path/to/deploy', relative(folder, DEPLOY))
      .replaceAll('YOUR_REGISTRY', 'here.test');
    await writeFile(join(folder, 'kustomization.yaml'), text);
    const manifests = await renderFolder(folder);
    const worker = manifests.find(({ kind, metadata }) => kind === 'Deployment' && metadata.name === 'slipway-worker');
    const [container] = worker?.spec.template.spec.containers ?? [];
    expect(container.image).toBe('here.test/slipway:0.1.0');
    expect(container.env).toContainEqual({ name: 'SLIPWAY_KUBERNETES_TOOLS_IMAGE', value: 'here.test/slipway:0.1.0' });
    const settings = manifests.find(({ kind }) => kind === 'ConfigMap');
    expect(settings?.data?.SLIPWAY_KUBERNETES_IMAGE).toBe('here.test/agent:1');
    const claim = manifests.find(({ kind }) => kind === 'PersistentVolumeClaim');
    expect(claim?.spec.accessModes).toEqual(['ReadWriteOnce']);
    expect(worker?.spec.template.spec.affinity.podAffinity).toBeDefined();
    const policy = manifests.find(({ metadata }) => metadata.name === 'git-and-models');
    expect(policy?.spec.egress).toEqual([
      { to: [{ ipBlock: { cidr: '192.0.2.10/32' } }], ports: [{ protocol: 'TCP', port: 443 }] },
    ]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
