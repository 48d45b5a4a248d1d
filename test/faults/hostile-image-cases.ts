/** H135: images, and amounts of what a pod is made of. H134 is in the tests of kube-api.ts, H136 in those of the options. */
import { type HostileCase, type HostileTable, type HostileTarget, post } from './hostile-frame.ts';

/** For the process that is asked: builds would run on Kubernetes, in the images that the operator allows. */
export const ON_KUBERNETES: Readonly<Record<string, string>> = {
  SLIPWAY_RUNTIME: 'kubernetes',
  SLIPWAY_KUBERNETES_IMAGE: 'registry.example.com/agent:1',
  SLIPWAY_KUBERNETES_TOOLS_IMAGE: 'registry.example.com/slipway:1',
  SLIPWAY_KUBERNETES_ALLOWED_IMAGES: 'registry.example.com/team/*:1',
};

const CREATE = `mutation ($input: ProjectInput!) { createProject(input: $input) {
  __typename ... on UserError { code message } ... on InvalidInputError { issues { path message } } } }`;

async function create(target: HostileTarget, workspace: object) {
  const repositoryUrl = 'https://git.example.com/team/images.git';
  const variables = { input: { name: 'Images', repositoryUrl, settings: { workspace } } };
  const { status, data } = await post(target, { query: CREATE, variables });
  return { status, result: data?.createProject ?? null };
}

function refused(field: string, value: string, code: string): HostileCase {
  const issues = [{ path: ['input', 'settings', 'workspace', field] }];
  return {
    h: 135,
    name: `the ${field} ${JSON.stringify(value.slice(0, 60))}`,
    send: (target) => create(target, { [field]: value }),
    expected: { status: 200, result: { __typename: 'InvalidInputError', code, issues } },
  };
}

const NO_IMAGES: readonly string[] = [
  ...['', '--privileged', '-v', '../../', '../../etc/passwd', '/etc', 'a/../b', 'a//b', './a', 'A', 'node:'],
  ...['node\0', 'node\n--privileged', 'node;id', '$(id)', '`id`', 'https://registry.example.com/agent:1'],
  ...['user:password@registry.example.com/agent:1', 'registry.example.com/agent@sha256:1', 'a'.repeat(513)],
  ...['registry.example.com/agent:1 --privileged', '\u{1f433}', 'x/'.repeat(100_000)],
];

const NOT_ALLOWED: readonly string[] = [
  ...['evil.example.com/agent:1', 'registry.example.com/agent:2', 'registry.example.com/agent'],
  ...[
    'registry.example.com/team/a/b:1',
    'registry.example.com.evil.io/team/a:1',
    'evil.io/registry.example.com/team/a:1',
  ],
  `registry.example.com/team/a:1@sha256:${'a'.repeat(64)}`,
];

const NO_AMOUNTS: readonly string[] = [
  '',
  '0',
  '-1',
  '4',
  '512m',
  '1e999',
  'Infinity',
  '--memory',
  '4Gi\n',
  '9'.repeat(1000),
];

const cases: readonly HostileCase[] = [
  ...NO_IMAGES.map((image) => refused('image', image, 'INVALID_INPUT')),
  ...NOT_ALLOWED.map((image) => refused('image', image, 'IMAGE_DENIED')),
  ...NO_AMOUNTS.map((memory) => refused('memory', memory, 'INVALID_INPUT')),
  refused('memory', '1000Gi', 'OVER_MAXIMUM'),
  refused('cpu', '1000', 'OVER_MAXIMUM'),
  refused('storage', '1Pi', 'OVER_MAXIMUM'),
];

export const IMAGE_TABLES: readonly HostileTable[] = [{ noun: 'images and amounts', cases }];
