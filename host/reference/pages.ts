/**
 * The pages of host/docs that follow from definitions: the configuration's keys, counters, sysctls,
 * limits. Run as a program, `node dist/host/reference/pages.js`, this writes them.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { configurationPage } from './configuration-page.ts';
import { countersPage } from './counters-page.ts';
import { limitsPage } from './limits-page.ts';
import { sysctlsPage } from './sysctls-page.ts';

/** Each file's name in host/docs, and its text. */
export function referencePages(): ReadonlyMap<string, string> {
  return new Map([
    ['configuration.md', configurationPage()],
    ['counters.md', countersPage()],
    ['limits.md', limitsPage()],
    ['sysctls.md', sysctlsPage()],
  ]);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const directory = process.argv[2] ?? 'host/docs';
  for (const [name, text] of referencePages()) writeFileSync(join(directory, name), text);
}
