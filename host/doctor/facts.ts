/**
 * What `wvs doctor` knows about a machine before it judges. Every fact may be missing, since a
 * container may hide any of them; a check then says that it could not look.
 */

import type { InterfaceInfo } from 'af-xdp-socket';
import type { Config } from '../config/types.ts';
import type { World, WorldNeighbour } from '../tables/world.ts';

/** Everything the checks look at. */
export interface Facts {
  readonly machine: MachineFacts;
  readonly configuration: ConfigurationFacts | undefined;
  /** The configured ports, or without a configuration every Ethernet interface. */
  readonly ports: readonly PortFacts[];
  /** undefined when rtnetlink could not be asked. */
  readonly network: NetworkFacts | undefined;
  readonly plan: PlanFacts | undefined;
  readonly director: DirectorFacts;
}

/** The machine, whatever it is to be used for. */
export interface MachineFacts {
  /** As `uname -r` prints it. */
  readonly kernel: string;
  /** As `node --version` prints it. */
  readonly node: string;
  readonly isLittleEndian: boolean;
  readonly cpus: number;
  /** CapEff of /proc/self/status. */
  readonly capabilities: bigint | undefined;
  /** RLIMIT_MEMLOCK in bytes; Infinity when there is none. */
  readonly lockableBytes: number | undefined;
  /** MemAvailable in bytes. */
  readonly availableBytes: number | undefined;
  readonly addon: Attempt;
  /** Whether the kernel registers the socket family of AF_XDP. */
  readonly hasAfXdp: boolean | undefined;
  /** The steering program given to the kernel's verifier, and taken back. */
  readonly steering: Attempt | undefined;
  /** The programs for checks with `via: vip`, attached to the loopback interface for a moment. */
  readonly probePaths: Attempt | undefined;
  /** net.core.bpf_jit_enable */
  readonly bpfJit: number | undefined;
  /** The choice in brackets of transparent_hugepage/shmem_enabled. */
  readonly hugePages: string | undefined;
  /** Services of the kernel's own IPVS. */
  readonly kernelServices: number;
}

/** Something tried: an error says how it failed. */
export interface Attempt {
  readonly error?: string;
  /** A line that may help, where the one who failed knows it. */
  readonly fix?: string;
}

/** The file `--config` names. */
export interface ConfigurationFacts {
  readonly file: string;
  /** undefined when the file has errors. */
  readonly config: Config | undefined;
  readonly errors: number;
}

/** A port and its interface. */
export interface PortFacts {
  /** The port's name, or the interface's without a configuration. */
  readonly name: string;
  readonly interface: string;
  /** undefined: there is no such interface. */
  readonly info: InterfaceInfo | undefined;
  /** The kernel module behind it, or how the link was created. */
  readonly driver: string | undefined;
  readonly xdp: XdpFeatures | undefined;
  /** Active offloads by ethtool's names; undefined when ethtool does not answer. */
  readonly offloads: ReadonlySet<string> | undefined;
  /** net.ipv4.conf.*: the larger of `all` and the interface's, as the kernel takes it. */
  readonly rpFilter: number | undefined;
  readonly arpIgnore: number | undefined;
  /** What the configuration wants of it. */
  readonly wanted: { readonly queues: number | undefined; readonly mode: string };
}

/** What a driver declares about XDP, as netdev netlink says since Linux 6.3. */
export interface XdpFeatures {
  readonly native: boolean;
  readonly redirect: boolean;
  /** Frames of other ports may be sent here without leaving XDP. */
  readonly transmit: boolean;
  readonly zeroCopy: boolean;
}

/** Addresses, routes and neighbours. */
export interface NetworkFacts {
  /** As the director would see it; port numbers are places in Facts.ports. */
  readonly world: World;
  readonly neighbours: readonly WorldNeighbour[];
  /** Addresses with the interface that has them. */
  readonly addresses: readonly AddressFacts[];
  readonly ipForward: number | undefined;
  readonly ipv6Forward: number | undefined;
  /** net.ipv4.ip_local_port_range */
  readonly ephemeralPorts: readonly [first: number, last: number];
  /** net.ipv4.ip_local_reserved_ports */
  readonly reservedPorts: readonly (readonly [first: number, last: number])[];
}

/** An address of the machine. */
export interface AddressFacts {
  readonly address: string;
  readonly interface: string;
  /** Duplicate address detection found another owner. */
  readonly isDuplicate: boolean;
  /** Not yet found to be free of others. */
  readonly isTentative: boolean;
}

/** What the director would use. */
export interface PlanFacts {
  readonly workers: number;
  readonly memoryBytes: number;
  /** Frames, which are pinned. */
  readonly pinnedBytes: number;
}

/** Whether a director runs already. */
export interface DirectorFacts {
  readonly socket: string;
  readonly pid: number | undefined;
  /** Something answers, director or not. */
  readonly isAnswered: boolean;
}
