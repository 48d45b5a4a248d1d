import fc from 'fast-check';
import { CompactEncrypt, decodeProtectedHeader } from 'jose';
import { expect, test } from 'vitest';
import { deriveKey } from '../../src/credentials/master-key.ts';
import { open, seal } from '../../src/credentials/seal.ts';
import { newMasterKey } from './test-key.ts';

const masterKey = await newMasterKey();
const context = 'project|GIT_TOKEN';

test('what was sealed opens again, whatever it is', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), async (text, where) => {
      const sealed = await seal(masterKey, { text, context: where });
      expect(await open(masterKey, { sealed, context: where })).toBe(text);
    }),
    { numRuns: 50 },
  );
});

test('the sealed text is a JWE that names the key, shows nothing of the text, and is new each time', async () => {
  const sealed = await seal(masterKey, { text: 'correct horse', context });
  expect(decodeProtectedHeader(sealed)).toEqual({ alg: 'dir', enc: 'A256GCM', kid: masterKey.id, context });
  for (const part of sealed.split('.'))
    expect(Buffer.from(part, 'base64url').toString('latin1')).not.toContain('horse');
  expect(await seal(masterKey, { text: 'correct horse', context })).not.toBe(sealed);
});

test('a change of any byte is noticed', async () => {
  const parts = (await seal(masterKey, { text: 'correct horse', context })).split('.');
  for (const [part, encoded] of parts.entries()) {
    const bytes = Buffer.from(encoded, 'base64url');
    for (const [index, byte] of bytes.entries()) {
      const changed = Buffer.from(bytes);
      changed[index] = byte ^ 1;
      const sealed = parts.with(part, changed.toString('base64url')).join('.');
      await expect(open(masterKey, { sealed, context }), `part ${part}, byte ${index}`).rejects.toMatchObject({
        code: 'UNAVAILABLE',
      });
    }
  }
  await expect(open(masterKey, { sealed: '', context })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
});

test('it does not open where it does not belong', async () => {
  const sealed = await seal(masterKey, { text: 'correct horse', context });
  await expect(open(masterKey, { sealed, context: 'other|GIT_TOKEN' })).rejects.toThrow(/belongs to something else/);
});

test('with another key the error names both and says what to do', async () => {
  const other = await newMasterKey();
  const sealed = await seal(masterKey, { text: 'correct horse', context });
  const error = await open(other, { sealed, context }).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'UNAVAILABLE' });
  expect(String(error)).toMatch(`sealed with the master key ${masterKey.id}, but the one in use is ${other.id}`);
  expect(String(error)).not.toContain('horse');
});

test('another algorithm is refused, even with the right key', async () => {
  const sealed = await new CompactEncrypt(Buffer.from('x'))
    .setProtectedHeader({ alg: 'dir', enc: 'A128CBC-HS256', kid: masterKey.id, context })
    .encrypt(deriveKey(masterKey, 'seal'));
  await expect(open(masterKey, { sealed, context })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
});
