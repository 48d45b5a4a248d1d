/**
 * Globs of paths below a folder: `*` and `?` within one name, `**` for any number of folders. Many globs are matched
 * together, name by name from the top, so that a walk never enters a folder in which nothing can match. The time is
 * bounded by the lengths, also where both the glob and the names come from somebody who means harm.
 */

const MAX_LENGTH = 500;
const ANY_FOLDERS = '**';
const MAX_ANY_FOLDERS = 8;

/** Says in a few words why this is not a glob of ours; null when it is one. */
export function globProblem(glob: string): string | null {
  if (glob === '' || glob.length > MAX_LENGTH) return `must have 1 to ${MAX_LENGTH} characters`;
  if (/\p{Cc}/u.test(glob)) return 'must not contain NUL or another control character';
  if (/[\\[\]{}!]/.test(glob)) return 'may use * and ? within a name and ** for folders, not \\ [ ] { } !';
  if (glob.startsWith('/') || /^[A-Za-z]:/.test(glob)) return 'must be relative to the checkout';
  const names = glob.split('/');
  if (names.includes('..')) return 'must not contain ..';
  if (names.some((name) => name !== ANY_FOLDERS && name.includes(ANY_FOLDERS))) {
    return 'may use ** only as the whole name of a folder';
  }
  if (names.filter((name) => name === ANY_FOLDERS).length > MAX_ANY_FOLDERS) {
    return `may use ** at most ${MAX_ANY_FOLDERS} times`;
  }
  return null;
}

/** How far the globs have matched on the way to a folder. */
export interface GlobMatch {
  /** The whole path matches. */
  readonly matches: boolean;
  /** Nothing below this path can match. */
  readonly isDead: boolean;
  /** Goes on to a file or folder of this name. */
  step(name: string): GlobMatch;
}

/** The match of the top folder. Throws RangeError when `globProblem` objects to a glob. */
export function startGlobMatch(globs: readonly string[]): GlobMatch {
  const wrong = globs.find((glob) => globProblem(glob) !== null);
  if (wrong !== undefined) throw new RangeError(`${JSON.stringify(wrong)} is not a glob`);
  return toMatch(globs.map(parse).flatMap((names) => reach(names, 0)));
}

/** Does any of the globs match this path, whose names are parted by slashes? Throws as `startGlobMatch` does. */
export function globMatches(globs: readonly string[], path: string): boolean {
  return path.split('/').reduce((match, name) => match.step(name), startGlobMatch(globs)).matches;
}

/** What is left of one glob. */
type Position = readonly string[];

function parse(glob: string): readonly string[] {
  const names = glob.split('/').filter((name) => name !== '.' && name !== '');
  if (glob.endsWith('/')) names.push(ANY_FOLDERS);
  // `dist/**` is what is in dist, and not a file of that name.
  if (names.at(-1) === ANY_FOLDERS) names.push('*');
  return names.filter((name, index) => name !== ANY_FOLDERS || names[index - 1] !== ANY_FOLDERS);
}

/** `**` also stands for no folder at all. */
function reach(names: readonly string[], index: number): Position[] {
  const here = names.slice(index);
  return here[0] === ANY_FOLDERS ? [here, here.slice(1)] : [here];
}

function toMatch(positions: readonly Position[]): GlobMatch {
  return {
    matches: positions.some((position) => position.length === 0),
    isDead: positions.every((position) => position.length === 0),
    step(name) {
      const next = positions.flatMap((position) => {
        const [pattern] = position;
        if (pattern === undefined) return [];
        if (pattern === ANY_FOLDERS) return name.startsWith('.') ? [] : [position, position.slice(1)];
        return matchesName(pattern, name) ? reach(position, 1) : [];
      });
      // Two ways to the same place count once: without this `**/*/**/*` would grow with every folder.
      return toMatch([...new Map(next.map((position) => [position.join('/'), position])).values()]);
    },
  };
}

/** A name that begins with a dot is meant only by a pattern that does, too. */
function matchesName(pattern: string, name: string): boolean {
  if (name.startsWith('.') && !pattern.startsWith('.')) return false;
  let at = 0;
  let star = -1;
  let resumeAt = 0;
  let index = 0;
  while (at < name.length) {
    const expected = pattern[index];
    if (expected === '*') {
      star = index;
      resumeAt = at;
      index += 1;
    } else if (expected !== undefined && (expected === '?' || expected === name[at])) {
      index += 1;
      at += 1;
    } else if (star >= 0) {
      // The last star takes one character more; earlier stars need not be tried again.
      index = star + 1;
      resumeAt += 1;
      at = resumeAt;
    } else {
      return false;
    }
  }
  while (pattern[index] === '*') index += 1;
  return index === pattern.length;
}
