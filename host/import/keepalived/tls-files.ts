/** The block SSL: what SSL_GET shows of itself. */

import type { Statement } from './blocks.ts';
import { readBlock, type Values } from './values.ts';

/** Files in PEM, by their names in a check. */
export interface TlsFiles {
  readonly certificate?: string;
  readonly key?: string;
}

/** Reads the block. */
export function readTlsFiles(statement: Statement, values: Values): TlsFiles {
  const files: { certificate?: string; key?: string } = {};
  const fill = (name: keyof TlsFiles) => (child: Statement) => {
    const file = values.text(child);
    if (file !== undefined) files[name] = file;
  };
  readBlock(statement, {
    handlers: { certificate: fill('certificate'), key: fill('key') },
    unexpressed: {
      password: 'WVS takes keys without a password',
      ca: 'keepalived does not verify certificates either; `verify` and `ca` of a check do',
    },
    values,
  });
  return files;
}
