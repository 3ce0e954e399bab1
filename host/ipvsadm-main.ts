#!/usr/bin/env node
/** The executable `wvs-ipvsadm`: ipvsadm for the running director. */

import { processIo } from './cli/process-io.ts';
import { runProgram } from './cli/program.ts';

process.exitCode = await runProgram(['ipvsadm', ...process.argv.slice(2)], processIo());
