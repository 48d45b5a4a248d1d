export interface SlugifyOptions {
  /** What stands between words. Default: `-`. */
  readonly separator?: string;
  /** Characters at most. Default: no limit. */
  readonly maxLength?: number;
}

/**
 * Turns text into something that fits into a URL or a file name: lower case, accents removed, everything that is
 * neither a letter nor a digit replaced by a separator. The result is empty when the text holds no letter and no digit.
 *
 * A slug that would be longer than `maxLength` ends after its last whole word, or in the middle of the first word when
 * not even that fits. Throws RangeError when `maxLength` is less than 1.
 */
export function slugify(text: string, options: SlugifyOptions = {}): string {
  const { separator = '-', maxLength = Number.POSITIVE_INFINITY } = options;
  if (!(maxLength >= 1)) throw new RangeError(`maxLength must be at least 1, not ${maxLength}`);
  const [first = '', ...others] = words(text);
  let slug = [...first].slice(0, maxLength).join('');
  if (slug !== first) return slug;
  for (const word of others) {
    const longer = slug + separator + word;
    if ([...longer].length > maxLength) break;
    slug = longer;
  }
  return slug;
}

/** NFKD takes accents off their letters, so that they can be removed; NFC puts the rest back together. */
function words(text: string): string[] {
  const plain = text.normalize('NFKD').replace(/\p{Mn}/gu, '').normalize('NFC').toLowerCase();
  return plain.match(/[\p{L}\p{N}]+/gu) ?? [];
}
