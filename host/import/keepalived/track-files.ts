/** The blocks track_file and vrrp_track_file, as far as FILE_CHECK needs them. */

import type { Statement } from './blocks.ts';
import { readBlock, type Values } from './values.ts';

/** What the number in a file is multiplied by; with `reverse` its sign is turned as well. */
export interface TrackWeight {
  readonly weight: number;
  readonly isReversed: boolean;
}

export interface TrackFile {
  readonly path: string;
  readonly weight: TrackWeight;
}

const DEFAULT_WEIGHT: TrackWeight = { weight: 1, isReversed: false };
const WEIGHT_MAX = 2_147_483_647;

/** Reads such a block; undefined when it names no file. */
export function readTrackFile(statement: Statement, values: Values): TrackFile | undefined {
  let path: string | undefined;
  let weight = DEFAULT_WEIGHT;
  readBlock(statement, {
    handlers: {
      file: (child) => {
        path = values.text(child);
      },
      weight: (child) => {
        weight = readTrackWeight(child, values) ?? weight;
      },
    },
    unexpressed: { init_file: 'WVS does not write to the files it reads' },
    values,
  });
  if (path === undefined) values.lost(statement, `${statement.keyword} has no file`);
  return path === undefined ? undefined : { path, weight };
}

/** `weight NUMBER [reverse|noreverse]`. */
export function readTrackWeight(statement: Statement, values: Values): TrackWeight | undefined {
  const [number, direction = 'noreverse', ...rest] = statement.args;
  const isDirection = direction === 'reverse' || direction === 'noreverse';
  if (!isDirection || rest.length > 0) {
    const got = statement.args.slice(1).join(' ');
    values.lost(statement, `weight: expected a number and at most reverse, got "${got}" behind it`);
    return undefined;
  }
  const limits = { min: -WEIGHT_MAX, max: WEIGHT_MAX };
  const weight = values.number(
    { ...statement, args: number === undefined ? [] : [number] },
    limits,
  );
  return weight === undefined ? undefined : { weight, isReversed: direction === 'reverse' };
}
