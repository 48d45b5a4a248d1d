import { z } from 'zod';
import { isPlainText, NOT_PLAIN_TEXT } from '../std/plain-text.ts';

/** A program and its arguments; no shell reads them. */
export const commandInput = z
  .array(z.string().max(4_096).refine(isPlainText, NOT_PLAIN_TEXT))
  .min(1)
  .max(100)
  .refine(([program]) => program !== '', 'must begin with a program');
