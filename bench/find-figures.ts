/** The figures, from the files of `bench/figures`. */
import { readdir } from 'node:fs/promises';
import type { Figure } from './figure.ts';

const FOLDER = new URL('figures/', import.meta.url);

export interface FoundFigure {
  readonly figure: Figure;
  readonly file: string;
}

/** Sorted by file; those whose names begin with one of `only`, or all. */
export async function findFigures(only: readonly string[] = []): Promise<FoundFigure[]> {
  const files = (await readdir(FOLDER)).filter((name) => name.endsWith('.ts')).sort();
  const found = await Promise.all(
    files.map(async (file) => {
      const { figures } = (await import(new URL(file, FOLDER).href)) as { figures?: readonly Figure[] };
      return (figures ?? []).map((figure) => ({ figure, file }));
    }),
  );
  return found.flat().filter(({ figure }) => only.length === 0 || only.some((name) => figure.name.startsWith(name)));
}
