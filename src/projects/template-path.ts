/** Which paths a template may write. */

const MAX_PATH_BYTES = 1024;
const MAX_SEGMENT_BYTES = 255;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const UNSAFE = /[\u0000-\u001f\u007f\\]/;

/** Why a template may not write this path, or null when it may. Paths are relative to the checkout, with `/`. */
export function pathProblem(path: string): string | null {
  if (path === '') return 'the path is empty';
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) return `the path is longer than ${MAX_PATH_BYTES} bytes`;
  if (UNSAFE.test(path) || !path.isWellFormed()) return 'the path holds a control character or a backslash';
  const segments = path.split('/');
  if (segments.some((segment) => segment === '' || segment === '.' || segment === '..')) {
    return 'the path leaves the checkout or has an empty, . or .. part';
  }
  // On file systems that ignore case, .GIT is the repository too.
  if (segments.some((segment) => segment.toLowerCase() === '.git')) return 'the path reaches into a .git folder';
  if (segments.some((segment) => Buffer.byteLength(segment) > MAX_SEGMENT_BYTES)) {
    return `a part of the path is longer than ${MAX_SEGMENT_BYTES} bytes`;
  }
  return null;
}
