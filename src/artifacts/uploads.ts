/** Bytes that come in pieces over a network that may be cut: each piece says where it belongs, and may come twice. */
import { mkdir, open, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';

/** Bytes of one upload. */
const MAX_UPLOAD_BYTES = 1024 ** 3;
/** Names that cannot lead out of the folder. */
const NAME = /^[0-9a-f-]{36}(\.[0-9a-f-]{36})*$/;

export interface Uploads {
  /** Writes a piece at its place. Rejects beyond 1 GiB. */
  write(name: string, piece: { readonly offset: number; readonly bytes: Uint8Array }): Promise<void>;
  /** What has come so far; nothing where nothing has. */
  read(name: string): AsyncIterable<Uint8Array>;
  remove(name: string): Promise<void>;
}

/** In the folder `incoming` of the file store, which removes what was abandoned. `names`: UUIDs, joined by dots. */
export function openUploads(storeFolder: string): Uploads {
  const folder = join(resolve(storeFolder), 'incoming');
  const fileOf = (name: string) => {
    if (!NAME.test(name)) throw new Error('an upload is named by UUIDs');
    return join(folder, `upload.${name}`);
  };
  return {
    async write(name, { offset, bytes }) {
      const file = fileOf(name);
      if (!Number.isSafeInteger(offset) || offset < 0 || offset + bytes.length > MAX_UPLOAD_BYTES) {
        throw new RangeError(`An upload has at most ${MAX_UPLOAD_BYTES} bytes.`);
      }
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await using handle = await open(file, 'r+').catch(() => open(file, 'a+', 0o600).then(reopened(file)));
      await handle.write(bytes, 0, bytes.length, offset);
    },
    async *read(name) {
      const handle = await open(fileOf(name), 'r').catch(() => null);
      if (handle) yield* handle.createReadStream();
    },
    async remove(name) {
      await rm(fileOf(name), { force: true });
    },
  };
}

/** A file that is opened to append writes at its end, wherever a piece belongs. */
function reopened(file: string) {
  return async (made: Awaited<ReturnType<typeof open>>) => {
    await made.close();
    return open(file, 'r+');
  };
}
