/** Commands that keepalived runs: what is one argument in the configuration is a command line. */

import type { Statement } from './blocks.ts';
import type { Values } from './values.ts';
import { splitCommand } from './words.ts';

/**
 * The program and its arguments; one with blanks in it is in single quotes. A user and a group behind it are reported: WVS runs commands as
 * the user it runs as itself.
 */
export function readScript(statement: Statement, values: Values): readonly string[] | undefined {
  const [script, ...owner] = values.escaped(statement) ?? [];
  if (script === undefined) {
    values.lost(statement, `${statement.keyword} has no command`);
    return undefined;
  }
  if (owner.length > 0) {
    const message = `${statement.keyword}: WVS runs it as its own user, not as ${owner.join(' ')}`;
    values.lost(statement, message);
  }
  const words = splitCommand(script);
  if (words === undefined) {
    values.report.error(statement.origin, `a quote is not closed: ${script}`);
    return undefined;
  }
  if (words.length > 0) return words;
  values.lost(statement, `${statement.keyword} has no command`);
  return undefined;
}
