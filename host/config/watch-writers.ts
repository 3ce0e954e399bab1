/** Who has a file open for writing: a copy over a slow line pauses longer than any editor does. */

import { readdir, readFile, readlink, realpath } from 'node:fs/promises';

/** O_WRONLY and O_RDWR among the flags of /proc/PID/fdinfo, which are octal. */
const WRITING = 0o3;

/**
 * Whether a process that can be looked into has a file open for writing. Without the right to look
 * into others, or without /proc, the answer is no.
 */
export async function isOpenForWriting(file: string): Promise<boolean> {
  const path = await realpath(file).catch(() => undefined);
  if (path === undefined) return false;
  const processes = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  const answers = await Promise.all(processes.map((id) => writes(id, path)));
  return answers.includes(true);
}

async function writes(processId: string, path: string): Promise<boolean> {
  const directory = `/proc/${processId}`;
  const descriptors = await readdir(`${directory}/fd`).catch(() => []);
  for (const descriptor of descriptors) {
    const target = await readlink(`${directory}/fd/${descriptor}`).catch(() => undefined);
    if (target !== path) continue;
    const info = await readFile(`${directory}/fdinfo/${descriptor}`, 'utf8').catch(() => '');
    const flags = /^flags:\s*([0-7]+)$/m.exec(info);
    if (flags !== null && (Number.parseInt(flags[1]!, 8) & WRITING) !== 0) return true;
  }
  return false;
}
