interface Choices {
  readonly options: readonly { readonly label: string }[];
  readonly multiple: boolean;
}

/**
 * What a person means who answers with the label or the number of an option, counted from 1; with several of them, between
 * commas, where more than one may be chosen; or with something else.
 */
export function chooseAnswer(text: string, { options, multiple }: Choices): string[] {
  const labelOf = (word: string) => {
    const named = options.find(({ label }) => label.toLowerCase() === word.toLowerCase());
    const numbered = /^\d+$/.test(word) ? options[Number(word) - 1] : undefined;
    return (named ?? numbered)?.label;
  };
  const said = text.trim();
  const one = labelOf(said);
  if (one !== undefined) return [one];
  const chosen = multiple ? said.split(',').map((word) => labelOf(word.trim())) : [];
  const labels = chosen.filter((label) => label !== undefined);
  return labels.length > 0 && labels.length === chosen.length ? [...new Set(labels)] : [text];
}
