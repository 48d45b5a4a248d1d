/** Reads and checks templates once, at the start: what is in the catalogue renders. */
import { constants, type Dirent } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidInputError } from '../errors.ts';
import { isRendered, MAX_FILE_BYTES, MAX_FILES, MAX_TOTAL_BYTES } from './render-template.ts';
import { manifestInput, type Template, type TemplateFile, templateReference } from './template.ts';
import { pathProblem } from './template-path.ts';
import { variablesOf } from './template-text.ts';

/** The templates that come with Slipway. */
const BUILT_IN = join(import.meta.dirname, 'templates');

const MAX_TEMPLATES = 200;
const MAX_SCRIPTS = 50;
const MAX_DEPTH = 16;
const SCRIPT_NAME = /^[a-z0-9][a-z0-9-]{0,62}\.json$/;

type Manifest = ReturnType<typeof manifestInput.parse>;

/**
 * The templates in `folder`, one per subfolder, of which several may be versions of one template. Throws
 * InvalidInputError (INVALID_TEMPLATE, or TEMPLATE_FAILED for Liquid that does not parse), naming the file, at the first
 * template that is not valid.
 */
export async function loadTemplates(folder = BUILT_IN): Promise<Template[]> {
  const names = (await readdir(folder, { withFileTypes: true }))
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .map((entry) => entry.name)
    .sort();
  if (names.length > MAX_TEMPLATES) throw invalid([], `there are more than ${MAX_TEMPLATES} templates`);
  const templates = new Map<string, Template>();
  for (const name of names) {
    const template = await loadTemplate(folder, name);
    const reference = templateReference(template);
    if (templates.has(reference)) throw invalid([name, 'template.json'], `${reference} exists twice`);
    templates.set(reference, template);
  }
  return [...templates.values()];
}

async function loadTemplate(folder: string, name: string): Promise<Template> {
  const root = join(folder, name);
  const { prompt, ...manifest } = await readManifest(root, name);
  const template: Template = {
    ...manifest,
    prompt: prompt ? decode(await readLimited(join(root, prompt), [name, prompt]), [name, prompt]) : null,
    scripts: await readScripts(join(root, 'scripts'), [name, 'scripts']),
    files: await readFiles(join(root, 'files'), [name, 'files']),
  };
  refuseUndeclared(template, name);
  return template;
}

async function readManifest(root: string, name: string): Promise<Manifest> {
  const where = [name, 'template.json'];
  const result = manifestInput.safeParse(parseJson(await readLimited(join(root, 'template.json'), where), where));
  if (result.success) return result.data;
  throw new InvalidInputError(
    result.error.issues.map(({ path, message }) => ({ path: [...where, ...path.map(String)], message })),
    'INVALID_TEMPLATE',
  );
}

async function readScripts(folder: string, where: readonly string[]): Promise<Record<string, unknown[]>> {
  const entries = await listFolder(folder);
  if (entries.length > MAX_SCRIPTS) throw invalid(where, `there are more than ${MAX_SCRIPTS}`);
  const scripts: Record<string, unknown[]> = {};
  for (const { name } of entries) {
    const path = [...where, name];
    if (!SCRIPT_NAME.test(name)) throw invalid(path, 'must be named NAME.json, in lower case');
    const steps = parseJson(await readLimited(join(folder, name), path), path);
    if (!Array.isArray(steps)) throw invalid(path, 'must be an array of steps');
    scripts[name.slice(0, -'.json'.length)] = steps;
  }
  return scripts;
}

/** Every file below `folder`, sorted by path, so that a template is the same on every machine. */
async function readFiles(folder: string, where: readonly string[]): Promise<TemplateFile[]> {
  const files: TemplateFile[] = [];
  const folders = [''];
  let totalBytes = 0;
  for (let prefix = folders.pop(); prefix !== undefined; prefix = folders.pop()) {
    for (const entry of await listFolder(join(folder, prefix))) {
      const path = prefix + entry.name;
      const problem = entryProblem(entry, path);
      if (problem) throw invalid([...where, path], problem);
      if (entry.isDirectory()) {
        folders.push(`${path}/`);
        continue;
      }
      const file = await readTemplateFile(join(folder, path), path, [...where, path]);
      totalBytes += file.content.length;
      if (files.push(file) > MAX_FILES) throw invalid(where, `there are more than ${MAX_FILES} files`);
      if (totalBytes > MAX_TOTAL_BYTES) throw invalid(where, `the files are larger than ${MAX_TOTAL_BYTES} bytes`);
    }
  }
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

function entryProblem(entry: Dirent, path: string): string | null {
  if (!entry.isFile() && !entry.isDirectory()) return 'is neither a file nor a folder';
  if (path.split('/').length > MAX_DEPTH) return `is more than ${MAX_DEPTH} folders deep`;
  return pathProblem(path);
}

async function readTemplateFile(file: string, path: string, where: readonly string[]): Promise<TemplateFile> {
  const content = await readLimited(file, where);
  if (isRendered(path)) decode(content, where);
  const { mode } = await stat(file);
  return { path, content, executable: (mode & constants.S_IXUSR) !== 0 };
}

/** A misspelt variable, or Liquid that does not parse, is found here and not by the first build. */
function refuseUndeclared(template: Template, name: string): void {
  const declared = new Set(template.variables.map((variable) => variable.name));
  for (const { path, content } of template.files) {
    const text = isRendered(path) ? path + content.toString('utf8') : path;
    const where = [name, 'files', path];
    const unknown = variablesOf(text, where.join('/')).find((variable) => !declared.has(variable));
    if (unknown) throw invalid(where, `reads the undeclared variable ${unknown}`);
  }
  if (template.prompt === null) return;
  const where = [name, 'prompt.md'];
  const used = variablesOf(template.prompt, where.join('/'));
  const unknown = used.find((variable) => variable !== 'prompt' && !declared.has(variable));
  if (unknown) throw invalid(where, `reads the undeclared variable ${unknown}`);
  if (!used.includes('prompt')) throw invalid(where, 'does not print {{ prompt }}');
}

/** Empty when there is no such folder: `files` and `scripts` are optional. */
async function listFolder(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

async function readLimited(file: string, where: readonly string[]): Promise<Buffer> {
  try {
    const { size } = await stat(file);
    if (size > MAX_FILE_BYTES) throw invalid(where, `is larger than ${MAX_FILE_BYTES} bytes`);
    return await readFile(file);
  } catch (error) {
    if (isMissing(error)) throw invalid(where, 'is missing');
    throw error;
  }
}

function decode(content: Buffer, where: readonly string[]): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(content);
  } catch {
    throw invalid(where, 'is not UTF-8');
  }
}

function parseJson(content: Buffer, where: readonly string[]): unknown {
  try {
    return JSON.parse(decode(content, where));
  } catch (error) {
    if (error instanceof SyntaxError) throw invalid(where, `is not JSON: ${error.message}`);
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

function invalid(path: readonly string[], message: string): InvalidInputError {
  return new InvalidInputError([{ path, message }], 'INVALID_TEMPLATE');
}
