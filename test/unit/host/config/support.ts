/** Short ways to write configurations in tests. */

import { type ConfigResult, parseConfig } from '../../../../host/config/parse.ts';
import type { Config, ConfigProblem } from '../../../../host/config/types.ts';

export const DIRECTOR = 'director: { ports: [{ name: wan, interface: eth0 }] }';

/** Takes the indentation of the first line off every line. */
export function dedent(text: string): string {
  const lines = text.replace(/^\n/, '').split('\n');
  const margin = /^ */.exec(lines[0]!)![0].length;
  return lines.map((line) => line.slice(margin)).join('\n');
}

/** The configuration in `text`, which must be a good one. */
export function configOf(text: string): Config {
  const result = parseConfig(dedent(text), 'wvs.yaml');
  if (!result.ok) throw new Error(errorsOf(result).join('\n'));
  return result.config;
}

/** A configuration with these services, from the third line of the text on. */
export function configWith(services: string): Config {
  return configOf(textWith(services));
}

/** The text of configWith(): `services:` is line 3. */
export function textWith(services: string): string {
  return `version: 1\n${DIRECTOR}\n${dedent(services)}`;
}

/** `LINE:COLUMN path [code] message` for every error. */
export function errorsOf(result: ConfigResult): string[] {
  return result.ok ? [] : result.errors.map(brief);
}

/** The same for warnings. */
export function warningsOf(result: ConfigResult): string[] {
  return result.warnings.map(brief);
}

function brief({ line, column, path, code, message }: ConfigProblem): string {
  return `${line}:${column} ${path} [${code}] ${message}`;
}
