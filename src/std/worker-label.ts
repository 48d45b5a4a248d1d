/** What a worker has and work may ask for: `gpu`, `arch=arm64`, `provider:claude-code`. */
import { z } from 'zod';

export const workerLabel = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._/:=-]{0,127}$/,
    'must begin with a letter or digit and hold only these and . _ / : = - (at most 128)',
  );
