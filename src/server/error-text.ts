/** What graphql says of a request that it refuses -> what may be answered, shown and logged. */

/** graphql repeats what was sent, whole: a prompt of 1 MiB in each of ten errors. */
const MAX_LENGTH = 1_000;
/** Of a message: looking for values takes time that grows with its square. */
const MAX_LOOKED_AT = 4_000;

/** Where graphql and its scalars repeat a value, or a part of one: a quote in a password ends its string. */
const VALUES: readonly (readonly [pattern: RegExp, replacement: string])[] = [
  [/[,;]? found: [\s\S]*$/i, '.'],
  [/( cannot represent [^:"]*): [\s\S]*$/, '$1.'],
  [/( cannot represent [^:"]*?(?:date-time-string|Date type)) [\s\S]*$/, '$1.'],
  [/\bValue "[\s\S]*" (does not exist in "\w+" enum)/, 'This value $1'],
  [/\bValue "[\s\S]*$/, 'This value is not known.'],
  [/^(Syntax Error: [\s\S]*?\b(?:Name|String|BlockString|Int|Float)) "[\s\S]*$/, '$1.'],
  [/^(Syntax Error: Invalid \w+ escape sequence): [\s\S]*$/, '$1.'],
];

/** Of at most a thousand characters, and without the values of arguments: each may be a password. */
export function errorText(message: string): string {
  const start = message.slice(0, MAX_LOOKED_AT);
  const plain = VALUES.reduce((text, [pattern, replacement]) => text.replace(pattern, replacement), start);
  return plain.length > MAX_LENGTH ? `${plain.slice(0, MAX_LENGTH).toWellFormed()} …` : plain;
}
