// Ways for probes to a virtual address through one server. Each needs a local port that no other
// way between the same two ends has, because ports are what packets are told apart by:
//
//   on the way out   local port, server, port    -> the virtual address takes the server's place
//   on the way back  local port, virtual address, port -> the server's address takes its place
//
// A way of TCP outlives its probe: the server still says goodbye, and asks again when our answer
// to that is lost. Of the kernel's ports for outgoing connections those are taken that it prefers
// for bind(2), so that its own connections do not meet a way that lingers.

import type { ProbePath, ProbePathOptions } from 'af-xdp-socket';
import type { PortRange } from '../tables/world.ts';
import { ephemeralPorts, reservedPorts } from '../world/kernel-ports.ts';
import type { ProbeTarget, VirtualTarget } from './probe.ts';

const LINGER_MS = 10_000;

/** Who rewrites the packets. */
export interface PathTable {
  /** Why it cannot, in one sentence; undefined: it can. */
  whyNot(): string | undefined;
  /** @throws when it cannot */
  open(path: ProbePathOptions): Pick<ProbePath, 'sent' | 'close'>;
}

/** Where a way leads. */
export interface WayTarget extends ProbeTarget {
  readonly virtual: VirtualTarget;
}

/** A way that is open for one probe. */
export interface VipWay {
  /** What the probe's socket has to be bound to. */
  readonly localPort: number;
  /** Whether any packet went along. */
  wasUsed(): boolean;
  /** The probe is over. */
  close(): void;
}

/** The ways of all probes. */
export class VipWays {
  readonly #table: PathTable;
  readonly #ports: readonly number[];
  #next = 0;
  /** Local ports with the ends they are in use between. */
  readonly #taken = new Set<string>();
  readonly #lingering = new Set<NodeJS.Timeout>();

  constructor(table: PathTable, ports: readonly number[] = wayPorts()) {
    this.#table = table;
    this.#ports = ports;
  }

  /** Why there are no ways on this machine, in one sentence. */
  whyNot(): string | undefined {
    return this.#table.whyNot();
  }

  /**
   * Opens a way.
   * @throws when there can be none, or no port is left
   */
  open(target: WayTarget, protocol: 'tcp' | 'udp'): VipWay {
    const { address, port, virtual } = target;
    const ends = [address, virtual.address].map((end) => `${protocol} ${end} ${port}`);
    const localPort = this.#freePort(ends);
    const path = this.#table.open({
      protocol,
      localPort,
      server: address,
      port,
      virtualAddress: virtual.address,
      ...(virtual.tunnel && { tunnel: virtual.tunnel.type, guePort: virtual.tunnel.port }),
    });
    const words = wordsOf(ends, localPort);
    for (const word of words) this.#taken.add(word);
    const end = () => {
      path.close();
      for (const word of words) this.#taken.delete(word);
    };
    return {
      localPort,
      wasUsed: () => path.sent > 0,
      close: () => (protocol === 'tcp' ? this.#linger(end) : end()),
    };
  }

  /** Forgets the ways that linger; those who rewrite packets are about to go. */
  close(): void {
    for (const timer of this.#lingering) clearTimeout(timer);
    this.#lingering.clear();
  }

  #linger(end: () => void): void {
    const timer = setTimeout(() => {
      this.#lingering.delete(timer);
      end();
    }, LINGER_MS);
    timer.unref();
    this.#lingering.add(timer);
  }

  /** In turn, so that a port rests as long as possible before it is used again. */
  #freePort(ends: readonly string[]): number {
    for (let tries = 0; tries < this.#ports.length; tries++) {
      const port = this.#ports[this.#next]!;
      this.#next = (this.#next + 1) % this.#ports.length;
      if (wordsOf(ends, port).every((word) => !this.#taken.has(word))) return port;
    }
    throw new Error('no local port is left for another probe of the virtual address');
  }
}

function wordsOf(ends: readonly string[], localPort: number): string[] {
  return ends.map((end) => `${localPort} ${end}`);
}

/** The local ports that ways may have, of a range and without those that are reserved. */
export function wayPorts(
  [first, last]: PortRange = ephemeralPorts(),
  reserved: readonly PortRange[] = reservedPorts(),
): number[] {
  const all: number[] = [];
  for (let port = first; port <= last; port++) {
    if (!reserved.some(([from, to]) => from <= port && port <= to)) all.push(port);
  }
  const preferred = all.filter((port) => (port - first) % 2 === 1);
  return preferred.length > 0 ? preferred : all;
}
