/** Values of flags. A flag that cannot be read is told by commander, with its name. */
import { InvalidArgumentError } from 'commander';

export interface Pair {
  readonly name: string;
  readonly value: string;
}

export function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^-?\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };
}

/** Null: none. */
export interface Limit {
  readonly value: number | null;
}

/** A whole number, or `none`. */
export function limit(min: number, max: number): (text: string) => Limit {
  const number = integer(min, max);
  return (text) => ({ value: text === 'none' ? null : number(text) });
}

export function positiveNumber(text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError('It must be a number greater than 0.');
}

/** `NAME=VALUE`, any number of times. */
export function pairs(text: string, earlier: readonly Pair[] = []): readonly Pair[] {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('It must be NAME=VALUE.');
  return [...earlier, { name: text.slice(0, at), value: text.slice(at + 1) }];
}

/** Any number of times. */
export function texts(text: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, text];
}

/** `all`, `none`, or hosts separated by commas; the API says which of them are none. */
export function network(text: string): { readonly access: 'ALL' | 'NONE' | 'HOSTS'; readonly hosts: string[] | null } {
  const access = text.toUpperCase();
  if (access === 'ALL' || access === 'NONE') return { access, hosts: null };
  const hosts = text.split(',').map((host) => host.trim());
  if (hosts.every((host) => host !== '')) return { access: 'HOSTS', hosts };
  throw new InvalidArgumentError('It must be all, none, or hosts such as registry.npmjs.org,*.github.com.');
}

/** ISO 8601. */
export function moment(text: string): Date {
  const date = new Date(text);
  if (/^\d{4}-\d\d-\d\d/.test(text) && !Number.isNaN(date.getTime())) return date;
  throw new InvalidArgumentError('It must be a moment such as 2026-11-20T23:00:00Z.');
}

/** `90m`, `12h`, `30d`, or `0`: milliseconds. */
export function duration(text: string): number {
  const [, number, unit] = /^(\d{1,5})([mhd])$/.exec(text) ?? [];
  const milliseconds = { m: 60_000, h: 3_600_000, d: 86_400_000 }[unit ?? ''];
  if (milliseconds) return Number(number) * milliseconds;
  if (text === '0') return 0;
  throw new InvalidArgumentError('It must be a time such as 90m, 12h or 30d.');
}

/** The same, from now; not at once. */
export function lifetime(text: string): Date {
  const milliseconds = duration(text);
  if (milliseconds > 0) return new Date(Date.now() + milliseconds);
  throw new InvalidArgumentError('It must be a time such as 90m, 12h or 30d.');
}
