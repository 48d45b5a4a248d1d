export { type SlugifyOptions, slugify } from './slugify.ts';
