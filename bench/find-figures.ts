/** The figures, from the files of `bench/figures`. */
import { readdir } from 'node:fs/promises';
import type { Figure } from './figure.ts';

const FOLDER = new URL('figures/', import.meta.url);

export interface FoundFigure {
  readonly figure: Figure;
  readonly file: string;
}

/** Sorted by file. */
export async function findFigures(only: readonly string[] = []): Promise<FoundFigure[]> {
  const files = (await readdir(FOLDER)).filter((name) => name.endsWith('.ts')).sort();
  return selectFigures((await Promise.all(files.map(figuresOf))).flat(), only);
}

/** All without `only`. A name of `only` is that of a figure, or else the beginning of some. */
export function selectFigures<F extends Pick<FoundFigure, 'figure'>>(
  found: readonly F[],
  only: readonly string[],
): F[] {
  const isMeant = (figure: string, name: string) =>
    found.some((other) => other.figure.name === name) ? figure === name : figure.startsWith(name);
  return found.filter(({ figure }) => only.length === 0 || only.some((name) => isMeant(figure.name, name)));
}

export async function figuresOf(file: string): Promise<FoundFigure[]> {
  const { figures } = (await import(new URL(file, FOLDER).href)) as { figures?: readonly Figure[] };
  return (figures ?? []).map((figure) => ({ figure, file }));
}
