import type { Template, TemplateFile, TemplateVariable } from '../../src/projects/template.ts';

export function sampleTemplate(overrides: Partial<Template> = {}): Template {
  return {
    name: 'sample',
    version: '1.2.3',
    description: 'A sample.',
    variables: [],
    prompt: null,
    artifacts: [],
    workspace: {},
    scripts: {},
    files: [],
    ...overrides,
  };
}

export function sampleVariable(name: string, overrides: Partial<TemplateVariable> = {}): TemplateVariable {
  return { name, description: `The ${name}`, required: false, default: null, pattern: null, ...overrides };
}

export function sampleFile(path: string, content: string | Buffer = '', executable = false): TemplateFile {
  return { path, content: Buffer.from(content), executable };
}
