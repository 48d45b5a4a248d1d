import { join } from 'node:path';
import { buildSite } from './build-site.js';

const root = join(import.meta.dirname, '..');
const pages = await buildSite(root, join(root, 'dist'));
console.log(`dist: ${pages.map((page) => page.file).join(', ')}`);
