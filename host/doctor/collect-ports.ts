/** Facts about the ports: interface, driver, XDP features, offloads, settings. */

import { type InterfaceInfo, interfaceInfo } from 'af-xdp-socket';
import type { Config } from '../config/types.ts';
import type { PortFacts } from './facts.ts';
import { GenericNetlink } from './generic-netlink.ts';
import { readNumber, type System } from './system.ts';

const INTERFACES = '/sys/class/net';
const SETTINGS = '/proc/sys/net/ipv4/conf';
const ARPHRD_ETHER = '1';
/** Interfaces looked at without a configuration. */
const CANDIDATES_MAX = 16;

type WantedPort = Pick<PortFacts, 'name' | 'interface' | 'wanted'>;

/** Finds out everything about the configured ports, or about every Ethernet interface. */
export async function collectPorts(
  config: Config | undefined,
  system: System,
): Promise<PortFacts[]> {
  const netlink = new GenericNetlink();
  try {
    const ports: PortFacts[] = [];
    for (const port of wantedPorts(config, system)) {
      ports.push(await collectPort(port, system, netlink));
    }
    return ports;
  } finally {
    netlink.close();
  }
}

function wantedPorts(config: Config | undefined, system: System): WantedPort[] {
  if (config === undefined) {
    return collectCandidates(system).map((name) => {
      return { name, interface: name, wanted: { queues: undefined, mode: 'auto' } };
    });
  }
  return config.director.ports.map(({ name, interface: device, queues, xdp }) => {
    return { name, interface: device, wanted: { queues, mode: xdp } };
  });
}

/** Interfaces that could be ports: Ethernet, and up. */
export function collectCandidates(system: System): string[] {
  const isCandidate = (name: string) =>
    system.read(`${INTERFACES}/${name}/type`) === ARPHRD_ETHER &&
    system.read(`${INTERFACES}/${name}/operstate`) !== 'down';
  return system.list(INTERFACES).filter(isCandidate).slice(0, CANDIDATES_MAX);
}

async function collectPort(
  port: WantedPort,
  system: System,
  netlink: GenericNetlink,
): Promise<PortFacts> {
  const info = lookUp(port.interface);
  const shared = {
    ...port,
    info,
    rpFilter: collectSetting(system, port.interface, 'rp_filter'),
    arpIgnore: collectSetting(system, port.interface, 'arp_ignore'),
  };
  if (info === undefined) {
    return { ...shared, driver: undefined, xdp: undefined, offloads: undefined };
  }
  return {
    ...shared,
    driver: collectDriver(system, info),
    xdp: await netlink.xdpFeatures(info.index),
    offloads: await netlink.activeOffloads(info.index),
  };
}

function lookUp(name: string): InterfaceInfo | undefined {
  try {
    return interfaceInfo(name);
  } catch {
    return undefined;
  }
}

/** The driver of the device behind an interface, or the kind of a link that has none. */
export function collectDriver(
  system: System,
  { name, kind }: Pick<InterfaceInfo, 'name' | 'kind'>,
): string | undefined {
  return kind ?? system.link(`${INTERFACES}/${name}/device/driver`);
}

/** The kernel uses the larger one of a setting for all interfaces and for one. */
export function collectSetting(system: System, device: string, name: string): number | undefined {
  const values = ['all', device].map((part) => readNumber(system, `${SETTINGS}/${part}/${name}`));
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : Math.max(...known);
}
