/** The grammars of names in Kubernetes. Each says in a few words what is wrong; null when nothing is. */

const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const QUALIFIED = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
const MAX_SUBDOMAIN = 253;

/** Of a namespace: one part of a DNS name. */
export function dnsLabelProblem(text: string): string | null {
  return LABEL.test(text) ? null : 'must hold only lower-case letters, digits and - (at most 63)';
}

/** Of nearly everything else: a DNS name. */
export function dnsNameProblem(text: string): string | null {
  return text.length <= MAX_SUBDOMAIN && text.split('.').every((part) => LABEL.test(part))
    ? null
    : 'must hold only lower-case letters, digits, - and . (at most 253)';
}

/** `[PREFIX/]NAME`. */
export function labelKeyProblem(text: string): string | null {
  const slash = text.indexOf('/');
  const prefix = slash < 0 ? null : text.slice(0, slash);
  const isKey = (prefix === null || dnsNameProblem(prefix) === null) && QUALIFIED.test(text.slice(slash + 1));
  return isKey ? null : 'must be a name of letters, digits, - _ . (at most 63), with a DNS name and / before it or not';
}

/** The empty value is one. */
export function labelValueProblem(text: string): string | null {
  return text === '' || QUALIFIED.test(text) ? null : 'must hold only letters, digits, - _ . (at most 63)';
}
