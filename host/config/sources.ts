/** Which files a configuration consists of: its own, and for keepalived.conf those it includes. */

import { hostname } from 'node:os';
import { detectKind } from '../import/detect.ts';

/** What a configuration depends on beside its own file. */
export interface ConfigSources {
  readonly files: ReadonlySet<string>;
  /** Directories in which further ones may come up, as those of `include conf.d/*.conf`. */
  readonly directories: ReadonlySet<string>;
}

export const NO_SOURCES: ConfigSources = { files: new Set(), directories: new Set() };

/** What `file` includes when its text is `text`, found as an import finds it. */
export async function includedBy(file: string, text: string): Promise<ConfigSources> {
  if (detectKind(text) !== 'keepalived') return NO_SOURCES;
  const { includedSources } = await import('../import/keepalived/expand.ts');
  const configId = hostname().split('.')[0]!;
  return includedSources({ file, text }, { configId, random: Math.random });
}
