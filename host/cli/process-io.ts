/** The process's own input and output, as commands see them. */

import type { CommandIo } from './command.ts';

/** Where a command started from a shell reads and writes. */
export function processIo(): CommandIo {
  // Whoever reads our output may stop reading, as `wvs status | head` does.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  return {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    environment: process.env,
  };
}
