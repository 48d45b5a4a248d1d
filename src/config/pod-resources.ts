/** What the containers of a pod are given, and what a project may ask for. */
import { z } from 'zod';
import { parseQuantity, quantityProblem, type Resource } from '../std/quantity.ts';
import { checked } from './option.ts';

/** The names that Kubernetes has for them. */
const KEYS = { cpu: 'cpu', memory: 'memory', 'ephemeral-storage': 'storage' } as const satisfies Record<
  string,
  Resource
>;
const NAMES = Object.keys(KEYS) as (keyof typeof KEYS)[];

export type Resources = Readonly<Record<keyof typeof KEYS, string>>;

export interface ContainerResources {
  readonly requests: Resources;
  readonly limits: Resources;
}

export const AGENT_RESOURCES: ContainerResources = {
  requests: { cpu: '500m', memory: '1Gi', 'ephemeral-storage': '2Gi' },
  limits: { cpu: '2', memory: '4Gi', 'ephemeral-storage': '20Gi' },
};

/** Also of the init container. Its storage is that of trusted git folders, fetched objects and our own programs. */
export const GIT_RESOURCES: ContainerResources = {
  requests: { cpu: '100m', memory: '256Mi', 'ephemeral-storage': '1Gi' },
  limits: { cpu: '1', memory: '1Gi', 'ephemeral-storage': '10Gi' },
};

/** A bare number is one, as in YAML. */
const quantity = (resource: Resource) =>
  z.preprocess(
    (value) => (typeof value === 'number' ? String(value) : value),
    checked((text) => quantityProblem(resource, text)),
  );

export const resources = z
  .strictObject({ cpu: quantity('cpu'), memory: quantity('memory'), 'ephemeral-storage': quantity('storage') })
  .partial();

export const containerResources = z.strictObject({
  requests: resources.prefault({}),
  limits: resources.prefault({}),
});

type Given = z.output<typeof resources>;
type Problems = { readonly problems: readonly string[] };

/** What is not given is the default, moved as far as what is given asks for: a limit is never below its request. */
export function completeResources(
  given: { readonly requests: Given; readonly limits: Given },
  defaults: ContainerResources,
): ContainerResources & Problems {
  const limits = each((name) => given.limits[name] ?? larger(name, given.requests[name], defaults.limits[name]));
  const requests = each((name) => given.requests[name] ?? smaller(name, limits[name], defaults.requests[name]));
  const problems = NAMES.filter((name) => amount(name, requests[name]) > amount(name, limits[name])).map(
    (name) => `requests.${name} is ${requests[name]}, more than the limit of ${limits[name]}`,
  );
  return { requests, limits, problems };
}

/** What projects may ask for: where nothing is given, as much as they get without asking. */
export function completeMaximum(given: Given, limits: Resources): { readonly maximum: Resources } & Problems {
  const maximum = each((name) => given[name] ?? limits[name]);
  const problems = NAMES.filter((name) => amount(name, maximum[name]) < amount(name, limits[name])).map(
    (name) => `${name} is ${maximum[name]}, less than resources.limits, which every build gets: ${limits[name]}`,
  );
  return { maximum, problems };
}

function each(value: (name: keyof typeof KEYS) => string): Resources {
  return { cpu: value('cpu'), memory: value('memory'), 'ephemeral-storage': value('ephemeral-storage') };
}

function larger(name: keyof typeof KEYS, one: string | undefined, other: string): string {
  return one !== undefined && amount(name, one) > amount(name, other) ? one : other;
}

function smaller(name: keyof typeof KEYS, one: string, other: string): string {
  return amount(name, one) < amount(name, other) ? one : other;
}

/** What is no amount has been refused before. */
function amount(name: keyof typeof KEYS, text: string): number {
  return parseQuantity(KEYS[name], text) ?? 0;
}
