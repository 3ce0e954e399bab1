/** The blocks track_file and vrrp_track_file, as far as FILE_CHECK needs them. */

import type { Statement } from './blocks.ts';
import { readBlock, type Values } from './values.ts';

export interface TrackFile {
  readonly path: string;
  /** What the number in the file is multiplied by. */
  readonly weight: number;
}

/** Reads such a block; undefined when it names no file. */
export function readTrackFile(statement: Statement, values: Values): TrackFile | undefined {
  let path: string | undefined;
  let weight = 1;
  readBlock(statement, {
    handlers: {
      file: (child) => {
        path = values.text(child);
      },
      weight: (child) => {
        weight = child.args.length > 1 ? Number.NaN : Number(child.args[0]);
      },
    },
    unexpressed: { init_file: 'WVS does not write to the files it reads' },
    values,
  });
  if (path === undefined) values.lost(statement, `${statement.keyword} has no file`);
  return path === undefined ? undefined : { path, weight };
}
