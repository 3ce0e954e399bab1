#!/usr/bin/env node
/** The executable `wvs`; called by the name `ipvsadm`, it is that. */

import { basename } from 'node:path';
import { processIo } from './cli/process-io.ts';
import { runProgram } from './cli/program.ts';

const [, path = '', ...parameters] = process.argv;
const command = basename(path) === 'ipvsadm' ? ['ipvsadm', ...parameters] : parameters;
process.exitCode = await runProgram(command, processIo());
