/** A template and the values of its variables -> the agent's prompt and the files of a new project. */
import type { Template, TemplateFile } from './template.ts';
import { pathProblem } from './template-path.ts';
import { renderText, templateFailed } from './template-text.ts';

/** Of one rendered file. */
export const MAX_FILE_BYTES = 1024 * 1024;
export const MAX_FILES = 500;
/** Of all files of one template. */
export const MAX_TOTAL_BYTES = 16 * 1024 * 1024;

const RENDERED = '.liquid';

export function isRendered(path: string): boolean {
  return path.endsWith(RENDERED);
}

/**
 * What the agent is told. The caller's prompt is a value: nothing in it is parsed. `values` come from
 * `resolveVariables`. Throws InvalidInputError (TEMPLATE_FAILED).
 */
export function renderPrompt(template: Template, prompt: string, values: Readonly<Record<string, string>>): string {
  return template.prompt === null ? prompt : renderText(template.prompt, { ...values, prompt }, 'prompt.md');
}

/**
 * The files of a new project, in the template's order: the same bytes for the same values. Every path stays inside the
 * checkout and occurs once. Throws InvalidInputError (TEMPLATE_FAILED), naming the file.
 */
export function renderFiles(template: Template, values: Readonly<Record<string, string>>): TemplateFile[] {
  if (template.files.length > MAX_FILES) throw templateFailed('files', `there are more than ${MAX_FILES}`);
  const files: TemplateFile[] = [];
  let totalBytes = 0;
  for (const file of template.files) {
    const rendered = renderFile(file, values);
    totalBytes += rendered.content.length;
    if (totalBytes > MAX_TOTAL_BYTES) throw templateFailed('files', `they are larger than ${MAX_TOTAL_BYTES} bytes`);
    files.push(rendered);
  }
  refuseCollisions(files);
  return files;
}

function renderFile(file: TemplateFile, values: Readonly<Record<string, string>>): TemplateFile {
  const target = isRendered(file.path) ? file.path.slice(0, -RENDERED.length) : file.path;
  const path = renderText(target, values, file.path);
  const problem = pathProblem(path);
  if (problem) throw templateFailed(file.path, problem);
  const content = isRendered(file.path)
    ? Buffer.from(renderText(file.content.toString('utf8'), values, file.path))
    : file.content;
  if (content.length > MAX_FILE_BYTES) throw templateFailed(file.path, `it is larger than ${MAX_FILE_BYTES} bytes`);
  return { path, content, executable: file.executable };
}

/** Two files may render to one path, or one to the folder of another. */
function refuseCollisions(files: readonly TemplateFile[]): void {
  const paths = new Set<string>();
  const folders = new Set<string>();
  for (const { path } of files) {
    if (paths.has(path)) throw templateFailed(path, 'two files have this path');
    paths.add(path);
    for (let end = path.indexOf('/'); end !== -1; end = path.indexOf('/', end + 1)) folders.add(path.slice(0, end));
  }
  for (const path of paths) {
    if (folders.has(path)) throw templateFailed(path, 'this is both a file and a folder');
  }
}
