/** `SLIPWAY_KUBERNETES_POD`: what the operator says about the pods of builds, in Kubernetes' own words where it has some. */
import { z } from 'zod';
import { dnsNameProblem, labelKeyProblem, labelValueProblem } from '../std/kubernetes-names.ts';
import { isPlainText, NOT_PLAIN_TEXT } from '../std/plain-text.ts';
import { checked, parseJson } from './option.ts';
import {
  AGENT_RESOURCES,
  completeMaximum,
  completeResources,
  containerResources,
  GIT_RESOURCES,
  resources,
} from './pod-resources.ts';
import { variableProblem } from './pod-variable.ts';

const MAX_ENTRIES = 50;
const MAX_ID = 2 ** 31 - 1;
const DEFAULT_USER = 1000;
const DEFAULT_DEADLINE_SECONDS = 2 * 86_400;
const MAX_DEADLINE_SECONDS = 30 * 86_400;
/** Ours, not to be written by others. */
const OUR_PREFIX = 'slipway.dev/';
/** Older ways to take a container's confinement away. */
const APPARMOR = 'container.apparmor.security.beta.kubernetes.io/';
const SECCOMP = /^(container\.)?seccomp\.security\.alpha\.kubernetes\.io(\/|$)/;

const name = checked(dnsNameProblem);
/** Of a ConfigMap or Secret. */
const key = z.string().regex(/^(?!\.\.)[A-Za-z0-9._-]{1,253}$/, 'must hold only letters, digits, - _ .');
const variable = checked(variableProblem);
const value = z.string().max(4096).refine(isPlainText, NOT_PLAIN_TEXT);
const id = z.int().min(1, 'must be at least 1: nothing runs as root').max(MAX_ID);

const foreignKey = (text: string) =>
  text.startsWith(OUR_PREFIX) ? `must not begin with ${OUR_PREFIX}, which is Slipway's own` : labelKeyProblem(text);

const few = <T extends z.ZodRecord>(record: T) =>
  record.refine((found) => Object.keys(found as object).length <= MAX_ENTRIES, `must be at most ${MAX_ENTRIES}`);

const labels = few(z.record(checked(foreignKey), checked(labelValueProblem)));

const annotations = few(z.record(checked(foreignKey), value)).superRefine((found, context) => {
  for (const [annotation, profile] of Object.entries(found)) {
    const unconfined = annotation.startsWith(APPARMOR) && !/^(runtime\/default|localhost\/.+)$/.test(profile);
    if (!unconfined && !SECCOMP.test(annotation)) continue;
    const message = 'must not take away what confines the containers: leave it out';
    context.addIssue({ code: 'custom', path: [annotation], message });
  }
});

const toleration = z
  .strictObject({
    key: checked(labelKeyProblem).exactOptional(),
    operator: z.enum(['Equal', 'Exists']).exactOptional(),
    value: checked(labelValueProblem).exactOptional(),
    effect: z.enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute']).exactOptional(),
    tolerationSeconds: z.int().min(0).exactOptional(),
  })
  .refine(({ key, operator }) => key !== undefined || operator === 'Exists', 'needs a key, or the operator Exists')
  .refine(({ value, operator }) => operator !== 'Exists' || !value, 'has the operator Exists and a value')
  .refine(
    ({ tolerationSeconds, effect }) => tolerationSeconds === undefined || effect === 'NoExecute',
    'has tolerationSeconds without the effect NoExecute',
  );

/** Alone its name makes all its keys files; a key and a variable make that one key a variable. */
const mounted = z
  .strictObject({ name, key: key.exactOptional(), variable: variable.exactOptional() })
  .refine((one) => (one.key === undefined) === (one.variable === undefined), 'needs key and variable, or neither');

const mounts = z
  .array(mounted)
  .max(MAX_ENTRIES)
  .refine((all) => {
    const files = all.filter((one) => one.variable === undefined).map((one) => one.name);
    return new Set(files).size === files.length;
  }, 'must not name the same one twice')
  .default([]);

const user = z
  .strictObject({ runAsUser: id, runAsGroup: id, fsGroup: id })
  .partial()
  .prefault({})
  .transform(({ runAsUser = DEFAULT_USER, runAsGroup = runAsUser, fsGroup = runAsGroup }) => ({
    runAsUser,
    runAsGroup,
    fsGroup,
  }));

const settings = z
  .strictObject({
    resources: containerResources.prefault({}),
    gitResources: containerResources.prefault({}),
    maximum: resources.prefault({}),
    nodeSelector: few(z.record(checked(labelKeyProblem), checked(labelValueProblem))).default({}),
    tolerations: z.array(toleration).max(MAX_ENTRIES).default([]),
    runtimeClassName: name.nullable().default(null),
    priorityClassName: name.nullable().default(null),
    serviceAccountName: name.nullable().default(null),
    imagePullSecrets: z.array(name).max(MAX_ENTRIES).default([]),
    imagePullPolicy: z.enum(['Always', 'IfNotPresent', 'Never']).nullable().default(null),
    labels: labels.default({}),
    annotations: annotations.default({}),
    secrets: mounts,
    configMaps: mounts,
    env: few(z.record(variable, value)).default({}),
    user,
    deadlineSeconds: z.int().min(60).max(MAX_DEADLINE_SECONDS).default(DEFAULT_DEADLINE_SECONDS),
  })
  .superRefine(({ secrets, configMaps, env }, context) => {
    const named = [...secrets, ...configMaps].flatMap((one) => one.variable ?? []);
    const all = [...Object.keys(env), ...named];
    for (const twice of new Set(all.filter((one, index) => all.indexOf(one) !== index))) {
      context.addIssue({ code: 'custom', path: ['env', twice], message: 'must be set once' });
    }
  })
  .transform((found, context) => {
    const agent = completeResources(found.resources, AGENT_RESOURCES);
    const git = completeResources(found.gitResources, GIT_RESOURCES);
    const maximum = completeMaximum(found.maximum, agent.limits);
    const problems = [
      ...agent.problems.map((message) => `resources.${message}`),
      ...git.problems.map((message) => `gitResources.${message}`),
      ...maximum.problems.map((message) => `maximum.${message}`),
    ];
    for (const message of problems) context.addIssue(message);
    return {
      ...found,
      resources: { requests: agent.requests, limits: agent.limits },
      gitResources: { requests: git.requests, limits: git.limits },
      maximum: maximum.maximum,
    };
  });

/** The text of SLIPWAY_KUBERNETES_POD -> every setting, with its default where none is given. */
export const kubernetesPod = z
  .string()
  .default('{}')
  .transform((text, context) => {
    const result = settings.safeParse(parseJson(text));
    if (result.success) return result.data;
    for (const { path, message, ...issue } of result.error.issues) {
      const inner = issue.code === 'invalid_key' ? issue.issues.map((one) => one.message).join(', ') : message;
      context.addIssue(`${path.join('.')} ${inner}`.trim());
    }
    return z.NEVER;
  });
