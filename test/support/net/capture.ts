/** Records the frames on wires of a topology, as the switch sees them. */
import { join } from 'node:path';

import type { Namespace } from '../../../host/netns/namespaces.ts';
import { ensureCommands } from '../../../host/netns/prerequisites.ts';
import { waitForExit, waitForLine } from '../../../host/netns/processes.ts';
import { switchPort, type Topology } from '../../../host/netns/topology.ts';
import { type Frame, readCapture } from './frames.ts';

const SETTLE_MS = 100;
const STOP_TIMEOUT_MS = 5_000;
const BUFFER_KIBIBYTES = 16_384;

export interface Wire {
  readonly namespace: Namespace;
  readonly interface: string;
}

/** Runs `traffic` and returns the frames each wire carried meanwhile, in the order of `wires`. */
export async function capture(
  topology: Topology,
  wires: readonly Wire[],
  traffic: () => Promise<unknown>,
): Promise<Frame[][]> {
  ensureCommands(['tcpdump']);
  const captures = await Promise.all(wires.map((wire, index) => start(topology, wire, index)));
  try {
    await traffic();
    // The last frames may still be in the kernel's buffer.
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  } finally {
    for (const { child } of captures) child.kill('SIGINT');
    const options = { what: 'tcpdump', timeout: STOP_TIMEOUT_MS };
    await Promise.all(captures.map(({ child }) => waitForExit(child, options)));
  }
  return captures.map(({ file }) => readCapture(file));
}

async function start(topology: Topology, wire: Wire, index: number) {
  const file = join(topology.set.directory, `${index}.pcap`);
  const device = switchPort(wire.namespace, wire.interface);
  const child = topology.switch.spawn(
    // Root by name, or tcpdump would try to become a user who may not write there.
    ['tcpdump', '-i', device, '-w', file, '-U', '-n', '-Z', 'root', '-B', String(BUFFER_KIBIBYTES)],
  );
  await waitForLine(child, /listening on/, { what: `tcpdump on ${device}` });
  return { child, file };
}
