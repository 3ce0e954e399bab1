/** Which version of WVS this is. */

import { readFileSync } from 'node:fs';

/** The version in package.json, which is two levels up here and three in dist/. */
export function readVersion(): string {
  for (const path of ['../../package.json', '../../../package.json']) {
    try {
      const text = readFileSync(new URL(path, import.meta.url), 'utf8');
      const { version } = JSON.parse(text) as { version?: string };
      if (version !== undefined) return version;
    } catch {
      // The other place, then.
    }
  }
  return 'unknown';
}
