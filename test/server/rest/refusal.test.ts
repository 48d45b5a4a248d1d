import { GraphQLError } from 'graphql';
import { expect, it } from 'vitest';
import { Refusal } from '../../../src/server/rest/refusal.ts';

const error = (extensions: Record<string, unknown>) => new GraphQLError('It does not go.', { extensions });

it.each([
  [{ code: 'UNAUTHENTICATED' }, 401, null],
  [{ code: 'FORBIDDEN', requiredScope: 'work' }, 403, null],
  [{ code: 'NOT_FOUND' }, 404, null],
  [{ code: 'INVALID_REF', issues: [{ path: ['input', 'spec', 'branch'], message: 'no' }] }, 400, null],
  [{ code: 'RATE_LIMITED', retryAfter: 7 }, 429, '7'],
  [{ code: 'TOO_MANY_OPERATIONS' }, 429, '1'],
  [{ code: 'UNAVAILABLE', retryable: true }, 503, '2'],
  [{ code: 'DISK_FULL' }, 503, '2'],
  [{ code: 'TIMEOUT' }, 503, '2'],
  [{ code: 'OVERLOADED', retryAfter: 1 }, 503, '1'],
  [{ code: 'INTERNAL', errorId: 'e' }, 500, null],
  [{ code: 'RESPONSE_TOO_LARGE' }, 400, null],
])('the error %j is %i', async (extensions, status, retryAfter) => {
  const response = Refusal.of(error(extensions)).toResponse();
  expect({ status: response.status, retryAfter: response.headers.get('retry-after') }).toEqual({ status, retryAfter });
  expect(await response.json()).toMatchObject({ status, code: extensions.code, detail: 'It does not go.' });
});

it.each([
  ['InvalidInputError', 'CALLBACK_URL_DENIED', 400],
  ['NotFoundError', 'NOT_FOUND', 404],
  ['BuildStateError', 'BUILD_STATE', 409],
  ['LeaseLostError', 'LEASE_LOST', 409],
  ['BudgetExceededError', 'BUDGET_EXCEEDED', 409],
  ['IdempotencyConflictError', 'IDEMPOTENCY_CONFLICT', 422],
  ['SomethingNewError', 'SOMETHING_NEW', 409],
])('the refusal %s of a mutation has the code %s and is %i', async (__typename, code, status) => {
  const response = Refusal.ofUserError({ __typename, code, message: 'No.', status: 'RUNNING' }).toResponse();
  expect(await response.json()).toMatchObject({ status, code, detail: 'No.', state: 'RUNNING' });
});

it('says where a fault is: in the body, the path or the query', () => {
  const at = (...path: string[]) => Refusal.invalid([{ path, message: 'no' }]).members.errors;
  expect(at('input', 'spec', 'a/b~c d')).toEqual([{ detail: 'no', pointer: '#/spec/a~1b~0c%20d' }]);
  expect(at('body', 'projectId')).toEqual([{ detail: 'no', pointer: '#/projectId' }]);
  for (const id of ['id', 'projectId', 'taskId']) expect(at('input', id)).toEqual([{ detail: 'no', parameter: 'id' }]);
  expect(at('first')).toEqual([{ detail: 'no', parameter: 'limit' }]);
  expect(at('filter', 'branch')).toEqual([{ detail: 'no', parameter: 'branch' }]);
});
