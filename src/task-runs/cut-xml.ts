/**
 * Before an XML parser: takes out of a hostile or a huge document what nobody asks for, so that no token that the parser
 * has to hold is longer than a few KiB. Comments and processing instructions go, long texts and attribute values are
 * cut, characters that XML forbids (and test runners write all the same) are replaced, doctypes are refused.
 */
import { ReportError } from './test-report.ts';

/** Of one text between two tags, one CDATA section, or one attribute's value. */
const MAX_TEXT = 8 * 1024;
/** Of a tag with its attributes, after their values were cut. */
const MAX_TAG = 64 * 1024;
/** `&#x10FFFF;` */
const MAX_REFERENCE = 10;
const REPLACEMENT = '\uFFFD';

type Place = 'text' | 'tag' | 'value' | 'cdata' | 'comment' | 'instruction';

/** What ends a place that is skipped or passed on as a whole. */
const ENDS = { cdata: ']]>', comment: '-->', instruction: '?>' } as const;
const TAG_STOPS = /[>"']/g;
const CDATA = '<![CDATA[';
const COMMENT = '<!--';

export class XmlCutter {
  #place: Place = 'text';
  #quote = '';
  /** Characters of the present text or value that were passed on. */
  #passed = 0;
  #tag = 0;
  /** What can only be understood together with what comes next. */
  #rest = '';

  /** What the parser is to be given for this piece. Throws ReportError. */
  push(piece: string): string {
    const text = this.#rest + piece;
    this.#rest = '';
    let out = '';
    for (let at = 0; at < text.length; ) {
      const step = this.#step(text, at);
      out += step.out;
      if (step.next === null) {
        this.#rest = text.slice(at);
        break;
      }
      at = step.next;
    }
    return out;
  }

  /** Throws ReportError when the document ends where no document may end. */
  end(): void {
    if (this.#place !== 'text' || this.#rest !== '') throw new ReportError('The report ends in the middle of a tag.');
  }

  /** `next` null: what is there from `at` on is too little to go on. */
  #step(text: string, at: number): { readonly out: string; readonly next: number | null } {
    if (this.#place === 'text') return this.#inText(text, at);
    if (this.#place === 'tag') return this.#inTag(text, at);
    if (this.#place === 'value') return this.#inValue(text, at);
    return this.#inSection(text, at, ENDS[this.#place]);
  }

  #inText(text: string, at: number) {
    if (text[at] === '<') return this.#open(text, at);
    const found = text.indexOf('<', at);
    return this.#pass(text, at, found === -1 ? text.length : found);
  }

  #open(text: string, at: number) {
    const head = text.slice(at, at + CDATA.length);
    if (head.length < 2) return { out: '', next: null };
    if (head[1] === '?') return this.#enter('instruction', '', at + 2);
    if (head[1] !== '!') {
      this.#tag = 1;
      return this.#enter('tag', '<', at + 1);
    }
    if (head.startsWith(COMMENT)) return this.#enter('comment', '', at + COMMENT.length);
    if (head === CDATA) return this.#enter('cdata', CDATA, at + CDATA.length);
    if (COMMENT.startsWith(head) || CDATA.startsWith(head)) return { out: '', next: null };
    throw new ReportError('The report has a document type declaration, which is not read.');
  }

  #inTag(text: string, at: number) {
    TAG_STOPS.lastIndex = at;
    const stop = TAG_STOPS.exec(text);
    const end = stop ? stop.index + 1 : text.length;
    this.#tag += end - at;
    if (this.#tag > MAX_TAG) throw new ReportError(`The report has a tag of more than ${MAX_TAG / 1024} KiB.`);
    const last = stop?.[0] ?? '';
    const out = legible(text.slice(at, end));
    if (last === '') return { out, next: end };
    this.#quote = last;
    return this.#enter(last === '>' ? 'text' : 'value', out, end);
  }

  #inValue(text: string, at: number) {
    const found = text.indexOf(this.#quote, at);
    if (found === at) {
      this.#tag += this.#passed;
      return this.#enter('tag', this.#quote, at + 1);
    }
    return this.#pass(text, at, found === -1 ? text.length : found);
  }

  #inSection(text: string, at: number, end: string) {
    const found = text.indexOf(end, at);
    const isKept = this.#place === 'cdata';
    if (found === at) return this.#enter('text', isKept ? end : '', at + end.length);
    // The end may have begun with the last characters.
    const last = found === -1 ? text.length - end.length + 1 : found;
    const upTo = isHighSurrogate(text.charCodeAt(last - 1)) ? last - 1 : last;
    if (upTo <= at) return { out: '', next: null };
    return { out: isKept ? this.#keep(text.slice(at, upTo)) : '', next: upTo };
  }

  /** Passes text with references on; one that is cut off by the end of the piece waits for the rest of it. */
  #pass(text: string, at: number, end: number) {
    const open = end === text.length ? text.lastIndexOf('&') : -1;
    const waits = open >= at && end - open < MAX_REFERENCE && !text.includes(';', open);
    const upTo = waits ? open : end;
    if (upTo === at) return { out: '', next: null };
    return { out: this.#keep(text.slice(at, upTo).replaceAll(REFERENCE, readable)), next: upTo };
  }

  #keep(text: string): string {
    const left = MAX_TEXT - this.#passed;
    let kept = legible(text.slice(0, Math.max(0, left)));
    if (kept.length < text.length) {
      const open = kept.lastIndexOf('&');
      if (this.#place !== 'cdata' && open !== -1 && !kept.includes(';', open)) kept = kept.slice(0, open);
      // Whatever is left of the bound is not used by what comes later: it would not belong to what was kept.
      this.#passed = MAX_TEXT;
      return kept;
    }
    this.#passed += kept.length;
    return kept;
  }

  #enter(place: Place, out: string, next: number) {
    this.#place = place;
    this.#passed = 0;
    return { out, next };
  }
}

const REFERENCE = /&#(?:x([0-9a-fA-F]{1,6})|([0-9]{1,7}));/g;

/** A reference to a character that XML forbids, such as the escape of a terminal. */
function readable(reference: string, hex: string | undefined, decimal: string | undefined): string {
  const code = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16);
  return code <= 0x10ffff && legible(String.fromCodePoint(code)) !== REPLACEMENT ? reference : REPLACEMENT;
}

function isHighSurrogate(code: number): boolean {
  return code >= 0xd800 && code < 0xdc00;
}

function legible(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
  return text.toWellFormed().replaceAll(/[\0-\x08\x0B\x0C\x0E-\x1F\uFFFE\uFFFF]/g, REPLACEMENT);
}
