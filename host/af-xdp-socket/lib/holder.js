// Who is in the way: the holder of an AF_XDP queue, the XDP program on an interface.
// Best effort, for error messages only; nothing here throws.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { binding } from './binding.js';
import { interfaceInfo } from './interface.js';

// How a process that has mapped a fill ring shows in /proc/PID/maps: a socket, at the offset
// XDP_UMEM_PGOFF_FILL_RING. No other kind of socket is ever mapped there.
const FILL_RING_MAPPING = /^\S+ \S+ 100000000 \S+ (\d+)\s+socket:/m;

export const HELD_BY_THIS_PROCESS = 'This process already has an AF_XDP socket on it.';
const HELD_BY_SOMEBODY = 'Another AF_XDP socket is bound to it.';

function tryRead(read) {
  try {
    return read();
  } catch {
    // The process is gone, or not ours to look at.
    return null;
  }
}

function networkNamespace(pid) {
  return tryRead(() => readlinkSync(`/proc/${pid}/ns/net`));
}

function hasMapped(pid, inode) {
  const maps = tryRead(() => readFileSync(`/proc/${pid}/maps`, 'utf8')) ?? '';
  const match = FILL_RING_MAPPING.exec(maps);
  return match !== null && (inode === null || maps.includes(`socket:[${inode}]`));
}

function hasOpen(pid, inode) {
  if (inode === null) return false;
  const folder = `/proc/${pid}/fd`;
  const links = (tryRead(() => readdirSync(folder)) ?? []).map((fd) =>
    tryRead(() => readlinkSync(`${folder}/${fd}`)),
  );
  return links.includes(`socket:[${inode}]`);
}

function describe(pid) {
  const name = tryRead(() => readFileSync(`/proc/${pid}/comm`, 'utf8').trim());
  return `${pid} (${name ?? 'gone'})`;
}

/** Processes of this network namespace that have the socket, or any AF_XDP socket without inode. */
function processesWith(inode) {
  const here = networkNamespace('thread-self');
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => inode !== null || networkNamespace(pid) === here)
    .filter((pid) => hasOpen(pid, inode) || hasMapped(pid, inode));
}

function describeExactly(inode) {
  const [pid] = processesWith(inode);
  if (pid === undefined) return 'An AF_XDP socket of a process that cannot be seen is bound to it.';
  if (Number(pid) === process.pid) return HELD_BY_THIS_PROCESS;
  return `Process ${describe(pid)} has an AF_XDP socket on it.`;
}

// Without CONFIG_XDP_SOCKETS_DIAG nobody says which socket is bound where, but not many processes
// have one at all.
function describeCandidates() {
  const pids = processesWith(null);
  const others = pids.filter((pid) => Number(pid) !== process.pid);
  if (others.length === 0) return pids.length === 0 ? HELD_BY_SOMEBODY : HELD_BY_THIS_PROCESS;
  return `AF_XDP sockets in this network namespace belong to ${others.map(describe).join(', ')}.`;
}

export function describeQueueHolder(interfaceIndex, queue) {
  const inode = binding.holderInode(interfaceIndex, queue);
  return (
    tryRead(() => (inode > 0 ? describeExactly(inode) : describeCandidates())) ?? HELD_BY_SOMEBODY
  );
}

export function describeXdpProgram(interfaceNameOrIndex) {
  const link = tryRead(() => interfaceInfo(interfaceNameOrIndex));
  if (link === null) return 'Another XDP program is already attached.';
  const { name, xdp } = link;
  if (xdp === null) return 'Another XDP program was attached a moment ago; try again.';
  const program = binding.programName(xdp.programId);
  const called = typeof program === 'string' && program !== '' ? `'${program}' ` : '';
  const which = `XDP program ${called}(id ${xdp.programId})`;
  return (
    `${which} is already attached to ${name} in ${xdp.mode} mode: stop its owner, or remove it ` +
    `with \`ip link set dev ${name} xdp off\`.`
  );
}
