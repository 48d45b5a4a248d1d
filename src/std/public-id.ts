/** Ids as the API writes them: the type, then the UUID without dashes. */

export type PublicIdType =
  | 'build'
  | 'project'
  | 'worker'
  | 'artifact'
  | 'token'
  | 'delivery'
  | 'credential'
  | 'message'
  | 'question'
  | 'enrolment'
  | 'task'
  | 'tasktype'
  | 'queue';

const UUID_DIGITS = /^([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})$/;

/** `build`, `0199f3a0-…` -> `build_0199f3a0…` */
export function toPublicId(type: PublicIdType, uuid: string): string {
  return `${type}_${uuid.replaceAll('-', '')}`;
}

/** The UUID; null when the text is not exactly what `toPublicId` writes for this type. */
export function fromPublicId(type: PublicIdType, text: string): string | null {
  if (!text.startsWith(`${type}_`)) return null;
  const groups = UUID_DIGITS.exec(text.slice(type.length + 1))?.slice(1);
  return groups?.join('-') ?? null;
}
