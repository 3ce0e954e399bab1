/**
 * The files of the appliance that are made from the command table. Run as a program,
 * `node dist/host/appliance/write-files.js`, this writes them into host/appliance.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { COMMANDS } from '../cli/commands.ts';
import { readVersion } from '../cli/version.ts';
import { bashCompletion, zshCompletion } from './completion.ts';
import { manualPage } from './manual.ts';

/** Each file's place below host/appliance, and its text. */
export function applianceFiles(): ReadonlyMap<string, string> {
  return new Map([
    ['wvs.1', manualPage(COMMANDS, readVersion())],
    ['completion/wvs.bash', bashCompletion(COMMANDS)],
    ['completion/_wvs', zshCompletion(COMMANDS)],
  ]);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const directory = process.argv[2] ?? 'host/appliance';
  for (const [name, text] of applianceFiles()) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), text);
  }
}
