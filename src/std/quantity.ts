/** Amounts of a resource as Kubernetes writes them: `500m` or `2` of a processor, `4Gi` of memory or storage. */

const CPU = /^(\d{1,6})(?:\.(\d{1,3}))?(m?)$/;
const BYTES = /^(\d{1,15}(?:\.\d{1,3})?)(k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$/;
const UNITS: Readonly<Record<string, number>> = {
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
};
const MIN_CPU_MILLIS = 10;
/** Less is a forgotten unit: nothing starts in 4 bytes. */
const MIN_BYTES = 16 * 2 ** 20;

export type Resource = 'cpu' | 'memory' | 'storage';

/** Thousandths of a processor, or bytes; null when it is no amount of this resource. */
export function parseQuantity(resource: Resource, text: string): number | null {
  return resource === 'cpu' ? parseCpu(text) : parseBytes(text);
}

/** Says in a few words why this is no amount that something could run with; null when it is one. */
export function quantityProblem(resource: Resource, text: string): string | null {
  const amount = parseQuantity(resource, text);
  if (resource === 'cpu') {
    return amount !== null && amount >= MIN_CPU_MILLIS ? null : 'must be processors, such as 2 or 500m, at least 10m';
  }
  return amount !== null && amount >= MIN_BYTES
    ? null
    : 'must be bytes with a unit, such as 512Mi or 4Gi, at least 16Mi';
}

function parseCpu(text: string): number | null {
  const [, whole, fraction, milli] = CPU.exec(text) ?? [];
  if (whole === undefined || (milli === 'm' && fraction !== undefined)) return null;
  return milli === 'm' ? Number(whole) : Number(whole) * 1000 + Number((fraction ?? '').padEnd(3, '0'));
}

function parseBytes(text: string): number | null {
  const [, number, unit] = BYTES.exec(text) ?? [];
  return number === undefined ? null : Number(number) * (unit === undefined ? 1 : (UNITS[unit] ?? Number.NaN));
}
