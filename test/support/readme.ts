/** The README, as tests read it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname, '../..');
export const read = (file: string) => readFileSync(join(ROOT, file), 'utf8');
export const README = read('README.md');

export interface Fence {
  readonly language: string;
  /** `test`: it is run. `answer`: what the example of that name gave. */
  readonly role: 'test' | 'answer' | null;
  readonly name: string;
  readonly content: string;
}

export const FENCES: Fence[] = [...README.matchAll(/^(`{3,})(\w+)(?: (test|answer)=([\w-]+))?\n(.*?)^\1$/gms)].map(
  ([, , language = '', role = null, name = '', content = '']) => ({
    language,
    role: role as Fence['role'],
    name,
    content,
  }),
);
