// Who is in the way: the holder of an AF_XDP queue, the XDP program on an interface.
// Best effort, for error messages only; nothing here throws.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { binding } from './binding.js';
import { interfaceInfo } from './interface.js';

function holdsInode(pid, inode) {
  try {
    const folder = `/proc/${pid}/fd`;
    return readdirSync(folder).some((fd) => {
      try {
        return readlinkSync(`${folder}/${fd}`) === `socket:[${inode}]`;
      } catch {
        return false;
      }
    });
  } catch {
    return false;
  }
}

function processWithInode(inode) {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.find((pid) => holdsInode(pid, inode));
}

export function describeQueueHolder(interfaceIndex, queue) {
  try {
    const inode = binding.holderInode(interfaceIndex, queue);
    if (inode <= 0) return 'Another AF_XDP socket is bound to it.';
    const pid = processWithInode(inode);
    if (pid === undefined)
      return 'An AF_XDP socket of a process that cannot be seen is bound to it.';
    if (Number(pid) === process.pid) return 'This process already has an AF_XDP socket on it.';
    const name = readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
    return `Process ${pid} (${name}) has an AF_XDP socket on it.`;
  } catch {
    return 'Another AF_XDP socket is bound to it.';
  }
}

export function describeXdpProgram(interfaceNameOrIndex) {
  try {
    const { name, xdp } = interfaceInfo(interfaceNameOrIndex);
    if (xdp === null) return 'Another XDP program was attached a moment ago; try again.';
    const program = binding.programName(xdp.programId);
    const called = typeof program === 'string' && program !== '' ? `'${program}' ` : '';
    return (
      `XDP program ${called}(id ${xdp.programId}) is already attached to ${name} in ${xdp.mode} ` +
      'mode: stop its owner, or remove it with `ip link set dev ' +
      `${name} xdp off\`.`
    );
  } catch {
    return 'Another XDP program is already attached.';
  }
}
