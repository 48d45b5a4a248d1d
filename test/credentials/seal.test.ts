import { createSecretKey } from 'node:crypto';
import fc from 'fast-check';
import { CompactEncrypt, decodeProtectedHeader } from 'jose';
import { expect, test } from 'vitest';
import type { MasterKey } from '../../src/credentials/master-key.ts';
import { deriveKey, open, seal } from '../../src/credentials/seal.ts';
import { newKeySource, newKeyText } from './test-key.ts';

const source = await newKeySource();
const masterKey = source.keys[0] as MasterKey;
const context = 'project|GIT_TOKEN';
const contexts = [context];

test('what was sealed opens again, whatever it is', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), async (text, where) => {
      const sealed = await seal(masterKey, { text, context: where });
      expect(await open(source, { sealed, contexts: ['elsewhere', where] })).toBe(text);
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
      await expect(open(source, { sealed, contexts }), `part ${part}, byte ${index}`).rejects.toMatchObject({
        code: 'UNAVAILABLE',
      });
    }
  }
  await expect(open(source, { sealed: '', contexts })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
});

test('it does not open where it does not belong', async () => {
  const sealed = await seal(masterKey, { text: 'correct horse', context });
  await expect(open(source, { sealed, contexts: ['other|GIT_TOKEN'] })).rejects.toThrow(/belongs to something else/);
});

test('an older key that is still listed opens it; without it the error names both and says what to do', async () => {
  const [older, newer] = [newKeyText(), newKeyText()];
  const before = await newKeySource(older);
  const sealed = await seal(before.keys[0] as MasterKey, { text: 'correct horse', context });
  expect(await open(await newKeySource(newer, older), { sealed, contexts })).toBe('correct horse');
  const after = await newKeySource(newer);
  const error = await open(after, { sealed, contexts }).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'UNAVAILABLE' });
  expect(String(error)).toMatch(
    `sealed with the master key ${before.keys[0]?.id}, and this process has ${after.keys[0]?.id}`,
  );
  expect(String(error)).not.toContain('horse');
});

test('another algorithm is refused, even with the right key', async () => {
  const sealed = await new CompactEncrypt(Buffer.from('x'))
    .setProtectedHeader({ alg: 'dir', enc: 'A128CBC-HS256', kid: masterKey.id, context })
    .encrypt(deriveKey(masterKey.secret, 'seal'));
  await expect(open(source, { sealed, contexts })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
});

test('every purpose has a key of its own, the same each time', () => {
  const key = createSecretKey(Buffer.alloc(32, 7));
  expect(deriveKey(key, 'a')).toEqual(deriveKey(key, 'a'));
  expect(deriveKey(key, 'a')).not.toEqual(deriveKey(key, 'b'));
  expect(deriveKey(key, 'a')).not.toEqual(key.export());
});
