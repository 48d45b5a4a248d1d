/** Does an If-None-Match header name this tag? A list of tags, weak ones among them, or `*` for whatever there is. */
export function namesTag(header: string | undefined, tag: string): boolean {
  if (header === undefined) return false;
  const names = header.split(',').map((name) => name.trim().replace(/^W\//, ''));
  return names.includes(tag) || names.includes('*');
}
