/** Manifests of a checkout: YAML and JSON that somebody has pushed, and that nobody has checked. */
import { CORE_SCHEMA, loadAll, mergeTag } from 'js-yaml';
import { InvalidInputError } from '../errors.ts';
import type { TaskCheckout } from './open-checkout.ts';
import { TaskFailedError } from './task-run.ts';

const MAX_FILES = 200;
const MAX_FILE_BYTES = 1024 ** 2;
const MAX_BYTES = 8 * 1024 ** 2;
const MAX_OBJECTS = 500;
/** Values of all manifests together, after what stands there by reference was written out. */
const MAX_NODES = 200_000;
const MAX_DEPTH = 64;
const MAX_ALIASES = 1_000;
const API_VERSION = /^(?:[a-z0-9][a-z0-9.-]{0,200}\/)?v[a-z0-9]{1,30}$/;
const KIND = /^[A-Z][A-Za-z0-9]{0,62}$/;

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  /** As it says; null when it does not. */
  readonly namespace: string | null;
  /** The file that it stands in. */
  readonly file: string;
  /** Plain JSON. */
  readonly object: Readonly<Record<string, unknown>>;
}

/** In the order of their files and in these. Throws TaskFailedError, which says which file is wrong and why. */
export async function readManifests(opened: TaskCheckout, globs: readonly string[]): Promise<Manifest[]> {
  const files = await findManifests(opened, globs);
  const manifests: Manifest[] = [];
  const budget = { left: MAX_NODES };
  for (const { path, absolutePath } of files) {
    const text = Buffer.concat(await Array.fromAsync(opened.workspace.read(absolutePath))).toString();
    manifests.push(...parseManifests(path, text, budget));
    if (manifests.length > MAX_OBJECTS) refuse(`There are more than ${MAX_OBJECTS} manifests.`);
  }
  if (manifests.length === 0) refuse(`There are no manifests in ${globs.join(', ')}.`);
  return manifests;
}

async function findManifests({ checkout }: TaskCheckout, globs: readonly string[]) {
  try {
    const found = await checkout.findDeclaredFiles({ globs, except: [], secrets: [] });
    const files = found.filter(({ path }) => /\.(?:ya?ml|json)$/.test(path));
    if (files.length > MAX_FILES) refuse(`More than ${MAX_FILES} files match ${globs.join(', ')}.`);
    const large = files.find(({ sizeBytes }) => sizeBytes > MAX_FILE_BYTES);
    if (large) refuse(`${large.path} has more than ${MAX_FILE_BYTES / 1024 ** 2} MiB.`);
    const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    if (bytes > MAX_BYTES) refuse(`The manifests have more than ${MAX_BYTES / 1024 ** 2} MiB.`);
    return files;
  } catch (error) {
    if (error instanceof InvalidInputError) refuse(error.issues.map(({ message }) => message).join(' '));
    throw error;
  }
}

export function parseManifests(file: string, text: string, budget = { left: MAX_NODES }): Manifest[] {
  let documents: unknown[];
  try {
    documents = loadAll(text, { schema: CORE_SCHEMA.withTags(mergeTag), maxAliases: MAX_ALIASES });
  } catch (error) {
    refuse(`${file} is not YAML: ${error instanceof Error ? error.message.split('\n')[0] : error}`);
  }
  return documents
    .filter((document) => document !== null && document !== undefined)
    .map((document) => plain(file, document, { budget, depth: 0 }))
    .flatMap((document) => itemsOf(document))
    .map((document) => toManifest(file, document));
}

/** A copy that is JSON: what YAML gives may refer to one value a million times, or to itself. */
function plain(
  file: string,
  value: unknown,
  at: { readonly budget: { left: number }; readonly depth: number },
): unknown {
  at.budget.left -= 1;
  if (at.budget.left < 0) refuse(`The manifests have more than ${MAX_NODES} values.`);
  if (at.depth > MAX_DEPTH) refuse(`${file} is nested more than ${MAX_DEPTH} deep.`);
  const deeper = { ...at, depth: at.depth + 1 };
  if (Array.isArray(value)) return value.map((item) => plain(file, item, deeper));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, plain(file, member, deeper)]));
  }
  return typeof value === 'number' && !Number.isFinite(value) ? null : value;
}

/** A list stands for what is in it. */
function itemsOf(document: unknown): unknown[] {
  const list = document as { readonly kind?: unknown; readonly apiVersion?: unknown; readonly items?: unknown };
  return list?.kind === 'List' && list.apiVersion === 'v1' && Array.isArray(list.items) ? list.items : [document];
}

function toManifest(file: string, document: unknown): Manifest {
  const object = (document ?? {}) as Record<string, unknown>;
  const { apiVersion, kind } = object;
  const metadata = (object.metadata ?? {}) as Record<string, unknown>;
  const { name, namespace = null } = metadata;
  if (typeof apiVersion !== 'string' || !API_VERSION.test(apiVersion))
    refuse(`${file} has an object without apiVersion.`);
  if (typeof kind !== 'string' || !KIND.test(kind)) refuse(`${file} has an object without kind.`);
  if (typeof name !== 'string' || name === '') refuse(`${file} has a ${kind} without a name of its own.`);
  if (namespace !== null && typeof namespace !== 'string')
    refuse(`${file}: the namespace of ${kind} ${name} is no text.`);
  const { managedFields: _managed, resourceVersion: _version, uid: _uid, ...own } = metadata;
  const { status: _status, ...rest } = object;
  return { apiVersion, kind, name, namespace, file, object: { ...rest, metadata: own } };
}

function refuse(message: string): never {
  throw new TaskFailedError('DEPLOY_FAILED', message);
}
