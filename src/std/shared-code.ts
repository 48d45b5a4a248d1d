/** The code of the one kind of fault, when all issues are of that kind. */
export function sharedCode(codes: readonly (string | undefined)[]): string | undefined {
  return new Set(codes).size === 1 ? codes[0] : undefined;
}
