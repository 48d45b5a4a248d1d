import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import * as api from '../src/index.ts';

const readme = await readFile(join(import.meta.dirname, '../README.md'), 'utf8');

for (const name of Object.keys(api)) {
  test(`the README explains ${name}`, () => {
    assert.match(readme, new RegExp(`^### \`${name}\\b`, 'm'));
  });
}
