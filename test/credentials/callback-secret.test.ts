import { createSecretKey, randomBytes } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { expect, test } from 'vitest';
import { callbackSecret } from '../../src/credentials/callback-secret.ts';

const newRoot = () => ({ callbackRoot: createSecretKey(randomBytes(32)) });
const keyring = newRoot();
const input = { projectId: '01990000-0000-7000-8000-000000000001', version: 1 };

test('the Standard Webhooks library signs and verifies with it', () => {
  const secret = callbackSecret(keyring, input);
  const now = new Date();
  const body = '{"type":"build.finished"}';
  const headers = {
    'webhook-id': 'msg_1',
    'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
    'webhook-signature': new Webhook(secret).sign('msg_1', now, body),
  };
  expect(new Webhook(callbackSecret(keyring, input)).verify(body, headers)).toEqual({ type: 'build.finished' });
  const next = callbackSecret(keyring, { ...input, version: 2 });
  expect(() => new Webhook(next).verify(body, headers)).toThrow();
});

test('it has at least the 24 bytes that Standard Webhooks asks for', () => {
  const [, encoded = ''] = /^whsec_([A-Za-z0-9+/]+=*)$/.exec(callbackSecret(keyring, input)) ?? [];
  expect(Buffer.from(encoded, 'base64').length).toBeGreaterThanOrEqual(24);
});

test('another project, version or installation has another secret', () => {
  const secrets = [
    callbackSecret(keyring, input),
    callbackSecret(keyring, { ...input, version: 2 }),
    callbackSecret(keyring, { ...input, projectId: '01990000-0000-7000-8000-000000000002' }),
    callbackSecret(newRoot(), input),
  ];
  expect(new Set(secrets).size).toBe(secrets.length);
});
