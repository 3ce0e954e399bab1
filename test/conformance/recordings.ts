// The recordings of the kernel that this director is compared with: recordings/NAME.jsonl.gz.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { parseRecording, type Recording } from '../../host/replay/recording.ts';

const DIRECTORY = join(import.meta.dirname, 'recordings');
const SUFFIX = '.jsonl.gz';

/** Names of all recordings, sorted. */
export function recordingNames(): readonly string[] {
  return readdirSync(DIRECTORY)
    .filter((name) => name.endsWith(SUFFIX))
    .map((name) => name.slice(0, -SUFFIX.length))
    .sort();
}

/**
 * Recordings that are not compared: connection sync is a later step, until then --start-daemon
 * says so and exits 255.
 */
export function isLeftOut(name: string): boolean {
  return name.startsWith('sync-');
}

/** Reads a recording. */
export function readRecording(name: string): Recording {
  const file = `${name}${SUFFIX}`;
  return parseRecording(gunzipSync(readFileSync(join(DIRECTORY, file))).toString(), file);
}
