/** `wvs realserver`: what a real server needs, as a script, or done. */

import { spawn } from 'node:child_process';
import {
  type CommandInput,
  type CommandIo,
  EXIT_FAILURE,
  EXIT_OK,
  EXIT_USAGE,
} from '../cli/command.ts';
import { parseRequest, RealServerError, type RealServerRequest } from './request.ts';
import { realServerScript } from './script.ts';

/** Prints the script, or runs it on this machine. */
export async function realServerCommand({ options }: CommandInput, io: CommandIo): Promise<number> {
  let request: RealServerRequest;
  try {
    if (options.apply && options.undo) throw new RealServerError('--apply or --undo, not both');
    const devices = options.interface ?? [];
    if (devices.length > 1) throw new RealServerError('--interface: one is enough');
    const { method = '', vip = [], type, outer, port, director } = options;
    const device = devices[0];
    request = parseRequest({ method, vip, type, outer, port, director, interface: device });
  } catch (error) {
    if (!(error instanceof RealServerError)) throw error;
    io.stderr.write(`wvs: ${error.message}\n(wvs realserver --help lists the options)\n`);
    return EXIT_USAGE;
  }
  const script = realServerScript(request);
  if (!options.apply && !options.undo) {
    io.stdout.write(script);
    return EXIT_OK;
  }
  return run(script, options.undo ? 'undo' : 'apply', io);
}

/** Runs the script in a shell; what it complains of is passed on. */
function run(script: string, action: 'apply' | 'undo', io: CommandIo): Promise<number> {
  const child = spawn('sh', ['-s', action], { stdio: ['pipe', 'ignore', 'pipe'] });
  child.stderr.setEncoding('utf8').on('data', (text: string) => io.stderr.write(text));
  child.stdin.end(script);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code === 0 ? EXIT_OK : EXIT_FAILURE));
  });
}
