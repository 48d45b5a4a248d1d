/** Names of container images: `[HOST[:PORT]/]PATH[:TAG][@DIGEST]`, and patterns of those that are allowed. */

const MAX_LENGTH = 512;
const MAX_NAME_LENGTH = 255;
const HOST = /^(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*(?::\d{1,5})?$/i;
const PATH_PART = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const DIGEST = /^sha256:[0-9a-f]{64}$|^sha512:[0-9a-f]{128}$/;

const PATTERN = /^[A-Za-z0-9*][A-Za-z0-9*._:/@-]{0,511}$/;
const MAX_WILDCARDS = 4;

interface Reference {
  readonly name: string;
  readonly tag: string | null;
  readonly digest: string | null;
}

/** Says in a few words why this names no image; null when it does. */
export function imageProblem(text: string): string | null {
  if (text === '' || text.length > MAX_LENGTH) return `must have 1 to ${MAX_LENGTH} characters`;
  if (text.startsWith('-')) return 'must not begin with -';
  const { name, tag, digest } = split(text);
  const parts = name.split('/');
  const [first = ''] = parts;
  const hasHost = parts.length > 1 && (/[.:]/.test(first) || first === 'localhost');
  const path = hasHost ? parts.slice(1) : parts;
  const isReference =
    name.length <= MAX_NAME_LENGTH &&
    (!hasHost || HOST.test(first)) &&
    path.every((part) => PATH_PART.test(part)) &&
    (tag === null || TAG.test(tag)) &&
    (digest === null || DIGEST.test(digest));
  return isReference ? null : 'must be the name of an image, such as registry.example.com/team/agent:1.2';
}

/** Says in a few words why this is not a pattern of images; null when it is one. */
export function imagePatternProblem(text: string): string | null {
  if (!PATTERN.test(text))
    return 'must be the name of an image, where * stands for a part of a name and ** for any number of them';
  if ((text.match(/\*+/g) ?? []).length > MAX_WILDCARDS) return `may use * at most ${MAX_WILDCARDS} times`;
  return null;
}

/**
 * Both are compared as they are written. `*` stands for characters of one part of the name, `**` for any number of parts.
 * A pattern without a tag and a digest allows all of them. One with a tag allows no digest, because a digest goes before
 * the tag that stands beside it.
 */
export function imageMatches(pattern: string, image: string): boolean {
  const allowed = split(pattern);
  const { name, tag, digest } = split(image);
  if (!wildcards(allowed.name).test(name)) return false;
  if (allowed.digest !== null && !(digest !== null && wildcards(allowed.digest).test(digest))) return false;
  if (allowed.tag === null) return true;
  return tag !== null && wildcards(allowed.tag).test(tag) && (digest === null || allowed.digest !== null);
}

function split(text: string): Reference {
  const at = text.indexOf('@');
  const tagged = at < 0 ? text : text.slice(0, at);
  const colon = tagged.indexOf(':', tagged.lastIndexOf('/') + 1);
  return {
    name: colon < 0 ? tagged : tagged.slice(0, colon),
    tag: colon < 0 ? null : tagged.slice(colon + 1),
    digest: at < 0 ? null : text.slice(at + 1),
  };
}

function wildcards(pattern: string): RegExp {
  const source = pattern
    .replace(/[.\\+?^${}()|[\]]/g, '\\$&')
    .replace(/\*+/g, (stars) => (stars === '*' ? '[^/]*' : '.*'));
  return new RegExp(`^${source}$`);
}
