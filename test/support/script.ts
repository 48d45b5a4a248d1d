/** A prompt that makes the scripted agent do exactly these steps. */
export function script(...steps: readonly object[]): string {
  return `Do what the script says.\n\n\`\`\`slipway\n${JSON.stringify(steps)}\n\`\`\`\n`;
}
