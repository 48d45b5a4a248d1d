import { expect, test } from 'vitest';
import { isEmptyDirMount, isInEmptyDir } from '../../../src/runtimes/kubernetes/empty-dir.ts';

const POD = '/var/lib/kubelet/pods/0b1c/volumes';
const MOUNTS = [
  '801 780 0:87 / / ro,relatime master:1 - overlay overlay ro',
  `802 801 254:0 ${POD}/kubernetes.io~empty-dir/data /data rw,relatime - ext4 /dev/vda rw`,
  '803 801 254:0 /exports/slipway/artifacts /data/artifacts rw,relatime - nfs4 10.0.0.1:/exports rw',
  `804 801 254:0 ${POD}/kubernetes.io~empty-dir/a\\040b /with\\040space rw - ext4 /dev/vda rw`,
].join('\n');

test.each([
  ['/data', true],
  ['/data/repositories', true],
  ['/data/artifacts', false],
  ['/data/artifacts/ab', false],
  ['/database', false],
  ['/', false],
  ['/with space/x', true],
])('%s lives no longer than the pod: %s', (folder, expected) => {
  expect(isEmptyDirMount(MOUNTS, folder)).toBe(expected);
});

test('what hides an emptyDir counts', () => {
  const hidden = `${MOUNTS}\n805 802 254:0 /volumes/of-the-cluster /data rw - ext4 /dev/vdb rw`;
  expect(isEmptyDirMount(hidden, '/data/artifacts/ab')).toBe(false);
  expect(isEmptyDirMount(hidden, '/data')).toBe(false);
});

test('this machine is no pod', async () => {
  expect(await isInEmptyDir(process.cwd())).toBe(false);
});
