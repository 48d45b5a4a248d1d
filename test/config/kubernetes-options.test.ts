import { expect, test } from 'vitest';
import { ConfigError, readConfig } from '../../src/config/config.ts';

const NEEDED = {
  SLIPWAY_RUNTIME: 'kubernetes',
  SLIPWAY_KUBERNETES_IMAGE: 'registry.example.com/agent:1',
  SLIPWAY_KUBERNETES_TOOLS_IMAGE: 'registry.example.com/slipway:1',
};

function mistakes(environment: Readonly<Record<string, string>>): readonly string[] {
  try {
    readConfig(environment);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.message.split('\n').slice(1);
  }
}

test('builds run on this machine unless the operator says otherwise', () => {
  expect(readConfig({})).toMatchObject({
    runtime: 'local',
    kubernetesMode: 'pod',
    kubernetesAllowedImages: [],
    kubernetesWarm: [],
    kubernetesSandbox: 'false',
    kubernetesStartSeconds: 300,
  });
});

test('the runtime kubernetes needs two images', () => {
  expect(mistakes({ SLIPWAY_RUNTIME: 'kubernetes' })).toEqual([
    expect.stringMatching(/^SLIPWAY_KUBERNETES_IMAGE: is needed/),
    expect.stringMatching(/^SLIPWAY_KUBERNETES_TOOLS_IMAGE: is needed/),
  ]);
  expect(readConfig(NEEDED)).toMatchObject({ runtime: 'kubernetes', kubernetesImage: 'registry.example.com/agent:1' });
});

test('an image that cannot be read is not also missing', () => {
  const told = mistakes({ ...NEEDED, SLIPWAY_KUBERNETES_IMAGE: '--privileged' });
  expect(told).toEqual([expect.stringMatching(/^SLIPWAY_KUBERNETES_IMAGE: must not begin with -/)]);
});

test('repositories of this machine are out of the reach of pods', () => {
  expect(mistakes({ ...NEEDED, SLIPWAY_LOCAL_REPOSITORIES: 'true' })).toEqual([
    expect.stringMatching(/^SLIPWAY_LOCAL_REPOSITORIES: must not be true with SLIPWAY_RUNTIME=kubernetes/),
  ]);
  expect(mistakes({ ...NEEDED, SLIPWAY_LOCAL_REPOSITORIES: 'false' })).toEqual([]);
  expect(mistakes({ SLIPWAY_LOCAL_REPOSITORIES: 'true' })).toEqual([]);
});

test('pods are prepared for images that builds may use', () => {
  const allowed = { ...NEEDED, SLIPWAY_KUBERNETES_ALLOWED_IMAGES: 'registry.example.com/team/*, node' };
  const own = [{ image: 'registry.example.com/agent:1', count: 2 }];
  expect(readConfig({ ...NEEDED, SLIPWAY_KUBERNETES_WARM: 'registry.example.com/agent:1=2' }).kubernetesWarm).toEqual(
    own,
  );
  expect(
    readConfig({ ...NEEDED, SLIPWAY_KUBERNETES_WARM: '{"registry.example.com/agent:1": 2}' }).kubernetesWarm,
  ).toEqual(own);
  expect(
    readConfig({ ...allowed, SLIPWAY_KUBERNETES_WARM: 'node:24=1, registry.example.com/team/x=3' }).kubernetesWarm,
  ).toEqual([
    { image: 'node:24', count: 1 },
    { image: 'registry.example.com/team/x', count: 3 },
  ]);
  expect(mistakes({ ...allowed, SLIPWAY_KUBERNETES_WARM: 'evil=1' })).toEqual([
    'SLIPWAY_KUBERNETES_WARM: names evil, which no build may use: add it to SLIPWAY_KUBERNETES_ALLOWED_IMAGES.',
  ]);
  expect(
    mistakes({ ...NEEDED, SLIPWAY_KUBERNETES_MODE: 'exec', SLIPWAY_KUBERNETES_WARM: 'registry.example.com/agent:1=1' }),
  ).toEqual([expect.stringContaining('must not be set with SLIPWAY_KUBERNETES_MODE=exec')]);
});

test('Sandboxes are for mode pod, and none is kept warm', () => {
  const asked = { ...NEEDED, SLIPWAY_KUBERNETES_SANDBOX: 'auto' };
  expect(readConfig(asked)).toMatchObject({ kubernetesSandbox: 'auto' });
  expect(mistakes({ ...asked, SLIPWAY_KUBERNETES_MODE: 'exec' })).toEqual([
    'SLIPWAY_KUBERNETES_SANDBOX: must be false with SLIPWAY_KUBERNETES_MODE=exec.',
  ]);
  expect(mistakes({ ...asked, SLIPWAY_KUBERNETES_WARM: `${NEEDED.SLIPWAY_KUBERNETES_IMAGE}=1` })).toEqual([
    expect.stringMatching(/^SLIPWAY_KUBERNETES_SANDBOX: must be false with SLIPWAY_KUBERNETES_WARM/),
  ]);
});

test.each([
  ['SLIPWAY_RUNTIME', 'docker', 'SLIPWAY_RUNTIME'],
  ['SLIPWAY_KUBERNETES_INSTANCE', 'a b', 'must hold only letters'],
  ['SLIPWAY_KUBERNETES_MODE', 'job', 'SLIPWAY_KUBERNETES_MODE'],
  ['SLIPWAY_KUBERNETES_NAMESPACE', '../../', 'must hold only lower-case letters, digits and -'],
  ['SLIPWAY_KUBERNETES_NAMESPACE', 'a%2fb', 'must hold only lower-case letters'],
  ['SLIPWAY_KUBERNETES_IMAGE', '--privileged', 'must not begin with -'],
  ['SLIPWAY_KUBERNETES_TOOLS_IMAGE', '../../', 'must be the name of an image'],
  ['SLIPWAY_KUBERNETES_ALLOWED_IMAGES', 'node,--privileged', '--privileged must be the name of an image'],
  ['SLIPWAY_KUBERNETES_ALLOWED_IMAGES', '*a*a*a*a*a', 'at most 4 times'],
  ['SLIPWAY_KUBERNETES_START_SECONDS', '1', '>=10'],
  ['SLIPWAY_KUBERNETES_SANDBOX', 'yes', '"auto"|"true"|"false"'],
  ['SLIPWAY_KUBERNETES_WARM', 'node', 'must be IMAGE=COUNT'],
  ['SLIPWAY_KUBERNETES_WARM', 'node=many', 'must be IMAGE=COUNT'],
  ['SLIPWAY_KUBERNETES_WARM', 'node=1,node=2', 'must be IMAGE=COUNT'],
  ['SLIPWAY_KUBERNETES_WARM', 'node=0', 'node must have at least one pod'],
  ['SLIPWAY_KUBERNETES_WARM', '--privileged=1', '--privileged must not begin with -'],
  ['SLIPWAY_KUBERNETES_WARM', 'node=101', 'at most 100 pods'],
  ['SLIPWAY_KUBERNETES_WARM', '{"node": "1"}', 'must be IMAGE=COUNT'],
])('%s=%s is refused', (variable, value, message) => {
  const [told, ...others] = mistakes({ [variable]: value });
  expect(others).toEqual([]);
  expect(told).toMatch(new RegExp(`^${variable}: `));
  expect(told).toContain(message);
});
