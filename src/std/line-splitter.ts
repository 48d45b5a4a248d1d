/** Bytes in chunks of any size -> lines of text. Holds at most one unfinished line. */

export interface SplitLine {
  /** Well-formed text without the line end (`\n` or `\r\n`) and without NUL; invalid UTF-8 became U+FFFD. */
  readonly text: string;
  /** The line had more bytes than allowed; `text` is its beginning. */
  readonly truncated: boolean;
  /** Bytes from the first byte ever pushed to the end of this line, its line end included. */
  readonly end: number;
}

export interface LineSplitter {
  /** The lines that `chunk` completes. The chunk may be reused after the call. */
  push(chunk: Buffer): SplitLine[];
  /** The last line, if it has no line end. Nothing may be pushed afterwards. */
  end(): SplitLine | null;
}

const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const SMALL_STORE_BYTES = 64 * 1024;
const EMPTY = Buffer.alloc(0);

/** `maxLineBytes`: bytes of one line that are kept, without the line feed; the rest of the line is skipped. */
export function createLineSplitter(maxLineBytes: number): LineSplitter {
  let store = EMPTY;
  let heldBytes = 0;
  let lineBytes = 0;
  let position = 0;

  function hold(part: Buffer): void {
    const kept = part.subarray(0, maxLineBytes - heldBytes);
    const needed = heldBytes + kept.length;
    if (needed > store.length) {
      const larger = Buffer.allocUnsafeSlow(Math.min(maxLineBytes, Math.max(2 * needed, SMALL_STORE_BYTES)));
      store.copy(larger, 0, 0, heldBytes);
      store = larger;
    }
    store.set(kept, heldBytes);
    heldBytes = needed;
    lineBytes += part.length;
  }

  function takeHeld(): SplitLine {
    const truncated = lineBytes > heldBytes;
    const text = truncated ? decodeCut(store.subarray(0, heldBytes)) : decodeWhole(store, 0, heldBytes);
    const line = { text, truncated, end: position };
    if (store.length > SMALL_STORE_BYTES) store = EMPTY;
    heldBytes = 0;
    lineBytes = 0;
    return line;
  }

  return {
    push(chunk) {
      const lines: SplitLine[] = [];
      let start = 0;
      for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
        position += end - start + 1;
        if (lineBytes === 0 && end - start <= maxLineBytes) {
          lines.push({ text: decodeWhole(chunk, start, end), truncated: false, end: position });
        } else {
          hold(chunk.subarray(start, end));
          lines.push(takeHeld());
        }
        start = end + 1;
      }
      position += chunk.length - start;
      hold(chunk.subarray(start));
      return lines;
    },
    end() {
      return lineBytes === 0 ? null : takeHeld();
    },
  };
}

function decodeWhole(bytes: Buffer, start: number, end: number): string {
  const textEnd = end > start && bytes[end - 1] === CARRIAGE_RETURN ? end - 1 : end;
  return withoutNul(bytes.toString('utf8', start, textEnd));
}

/** `stream` leaves out the character that the cut went through. */
function decodeCut(bytes: Buffer): string {
  return withoutNul(new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes, { stream: true }));
}

function withoutNul(text: string): string {
  return text.replaceAll('\0', '');
}
