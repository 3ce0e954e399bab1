#!/usr/bin/env node
/** The executable `wvs`. */

import { runProgram } from './cli/program.ts';

// Whoever reads our output may stop reading, as `wvs status | head` does.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

process.exitCode = await runProgram(process.argv.slice(2), {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  environment: process.env,
});
