/** Which branch names are accepted: what git accepts as `refs/heads/<name>` and as `--branch <name>`, less what misleads. */

/** Bytes in UTF-8, so that `<name>.lock` always fits into a file name. */
const MAX_BRANCH_BYTES = 200;

/** What is wrong with the branch name, as a phrase that follows its name; null when it is good. */
export function refProblem(branch: string): string | null {
  if (branch === '') return 'must not be empty';
  if (branch.length > MAX_BRANCH_BYTES || Buffer.byteLength(branch) > MAX_BRANCH_BYTES) {
    return `must be at most ${MAX_BRANCH_BYTES} bytes`;
  }
  if (!branch.isWellFormed() || /[\p{Cc} ~^:?*[\\]/u.test(branch)) {
    return 'must not contain spaces, control characters or any of ~ ^ : ? * [ \\';
  }
  if (/^[-+]/.test(branch)) return 'must not start with - or +';
  if (branch.startsWith('refs/')) return 'must be the name of a branch, without refs/heads/';
  if (branch === '@' || /^(?:[A-Z]+_)?HEAD$/.test(branch)) return 'must not be a name that git uses itself';
  if (branch.includes('..') || branch.includes('@{')) return 'must not contain .. or @{';
  if (branch.endsWith('.')) return 'must not end with a dot';
  return branch.split('/').map(componentProblem).find(Boolean) ?? null;
}

function componentProblem(component: string): string | null {
  if (component === '') return 'must not start or end with / or contain //';
  if (component.startsWith('.')) return 'must not have a part that starts with a dot';
  if (component.endsWith('.lock')) return 'must not have a part that ends with .lock';
  return null;
}
