import type { Call, Json } from './endpoint.ts';
import { Refusal } from './refusal.ts';

export const KEY_HEADER = {
  'Idempotency-Key': 'Names this request, so that sending it again is safe; as the member idempotencyKey.',
};

/** The body, with the header as its member. Throws a Refusal when they differ. */
export function withKey({ body, headers }: Call): Json {
  const key = headers.get('idempotency-key');
  if (key === null) return body;
  const member = body.idempotencyKey ?? key;
  if (member !== key) {
    throw Refusal.invalid([
      { path: ['input', 'idempotencyKey'], message: 'is not what the header Idempotency-Key says' },
    ]);
  }
  return { ...body, idempotencyKey: key };
}
