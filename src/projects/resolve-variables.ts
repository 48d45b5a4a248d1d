/** The caller's variables against those that a template declares. */
import type { InputIssue } from '../errors.ts';
import { MAX_PATTERN_INPUT, matches, type Template, type TemplateVariable, templateReference } from './template.ts';

export type ResolvedVariables =
  | { readonly ok: true; readonly values: Readonly<Record<string, string>> }
  | { readonly ok: false; readonly issues: readonly InputIssue[] };

/**
 * A value for every variable of the template: the one given, or the default, or the empty string. A blank value counts
 * as not given. Each issue has the path `['variables', name]`.
 */
export function resolveVariables(template: Template, given: Readonly<Record<string, string>>): ResolvedVariables {
  const declared = template.variables.map((variable) => variable.name);
  const issues = Object.keys(given)
    .filter((name) => !declared.includes(name))
    .map((name) => issue(name, undeclared(template, declared)));
  const values: Record<string, string> = {};
  for (const variable of template.variables) {
    const value = Object.hasOwn(given, variable.name) ? (given[variable.name] ?? '') : '';
    const problem = valueProblem(variable, value);
    if (problem) issues.push(issue(variable.name, problem));
    values[variable.name] = isBlank(value) ? (variable.default ?? '') : value;
  }
  return issues.length > 0 ? { ok: false, issues } : { ok: true, values };
}

function valueProblem(variable: TemplateVariable, value: string): string | null {
  if (isBlank(value)) return variable.required ? `missing variable: ${variable.description}` : null;
  if (variable.pattern === null || matches(variable.pattern, value)) return null;
  return `does not match pattern ${variable.pattern} (at most ${MAX_PATTERN_INPUT} characters)`;
}

function isBlank(value: string): boolean {
  return value.trim() === '';
}

function undeclared(template: Template, declared: readonly string[]): string {
  const known = declared.length > 0 ? `declares ${declared.join(', ')}` : 'declares none';
  return `undeclared variable: ${templateReference(template)} ${known}`;
}

function issue(name: string, message: string): InputIssue {
  return { path: ['variables', name], message };
}
