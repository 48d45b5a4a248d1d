/** Ids of what comes by the thousand a second: random bytes are drawn many at a time, as each draw costs more than an id. */
import { randomFillSync } from 'node:crypto';
import { v7 } from 'uuid';

const POOL_BYTES = 4_096;
const UUID_BYTES = 16;

let pool = Buffer.alloc(0);
let used = 0;

/** Each byte is given out once. At most 4 KiB. */
function draw(bytes: number): Buffer {
  if (used + bytes > pool.length) {
    // Not the same memory: what was given out may still be read.
    pool = randomFillSync(Buffer.allocUnsafeSlow(POOL_BYTES));
    used = 0;
  }
  used += bytes;
  return pool.subarray(used - bytes, used);
}

/** So many random bytes as lower-case hex digits. */
export function randomHex(bytes: number): string {
  return draw(bytes).toString('hex');
}

let msecs = 0;
let seq = 0;

/** A UUIDv7 that is greater than all that this function gave before. */
export function nextId(): string {
  const random = draw(UUID_BYTES);
  const now = Date.now();
  if (now > msecs) {
    msecs = now;
    seq = random.readUInt32BE(6) >>> 1;
  } else {
    // Many in a millisecond, or a clock that was set back.
    seq = (seq + 1) | 0;
    if (seq === 0) msecs += 1;
  }
  return v7({ random, msecs, seq });
}
