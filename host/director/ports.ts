// The configured ports against the machine's interfaces: is each there, what can it do, and how are
// its queues dealt out to workers. Nothing is opened or changed here.

import { type InterfaceInfo, interfaceInfo } from 'af-xdp-socket';
import {
  FRAME_HEADROOM,
  FRAME_SIZE,
  LINKS_MAX,
  WORKERS_MAX,
} from '../../assembly/shared/limits.ts';
import type { DirectorConfig, PortConfig } from '../config/types.ts';
import { StartError, sentenceOf } from './start-error.ts';

/** Ethernet header with a VLAN tag, which the kernel may put back into a frame. */
const FRAME_OVERHEAD = 18;

/** A port and its interface; its place in the list is its number. */
export interface Port {
  readonly index: number;
  readonly config: PortConfig;
  readonly info: InterfaceInfo;
  /** Queues the director uses, from 0 on. */
  readonly queues: number;
}

/** One AF_XDP socket to open: a queue of a port. */
export interface LinkPlan {
  readonly port: Port;
  readonly queue: number;
}

/**
 * Finds the interfaces of the configured ports.
 * @throws StartError
 */
export function resolvePorts(
  config: DirectorConfig,
  lookUp: (name: string) => InterfaceInfo = interfaceInfo,
): Port[] {
  return config.ports.map((port, index) => {
    const what = `port ${port.name} (interface ${port.interface})`;
    let info: InterfaceInfo;
    try {
      info = lookUp(port.interface);
    } catch (error) {
      throw new StartError(`${what}: ${sentenceOf(error)}`, { cause: error });
    }
    const available = Math.min(info.rxQueues, info.txQueues);
    const queues = port.queues ?? available;
    if (queues > available) {
      throw new StartError(
        `${what}: ${queues} queues are configured, but the interface has ${available}`,
      );
    }
    checkInterface(what, info);
    return { index, config: port, info, queues };
  });
}

function checkInterface(what: string, { mac, mtu, up, name }: InterfaceInfo): void {
  if (mac === null) throw new StartError(`${what} is no Ethernet interface`);
  if (!up) throw new StartError(`${what} is down: run ip link set ${name} up`);
  const limit = FRAME_SIZE - FRAME_HEADROOM - FRAME_OVERHEAD;
  if (mtu > limit) {
    throw new StartError(`${what} has MTU ${mtu}, but frames of at most ${limit} fit: lower it`);
  }
}

/**
 * The number of workers, no more than the port with the fewest queues has: each worker needs a
 * queue of its own on every port, to send.
 * @throws StartError
 */
export function countWorkers(config: DirectorConfig, ports: readonly Port[]): number {
  const narrowest = ports.reduce((least, port) => (port.queues < least.queues ? port : least));
  if (config.workers === 'auto') return Math.min(narrowest.queues, WORKERS_MAX);
  if (config.workers > narrowest.queues) {
    throw new StartError(
      `${config.workers} workers are configured, but port ${narrowest.config.name} ` +
        `has only ${narrowest.queues} ${narrowest.queues === 1 ? 'queue' : 'queues'}`,
    );
  }
  if (config.workers > WORKERS_MAX) {
    throw new StartError(`${config.workers} workers are more than the ${WORKERS_MAX} there can be`);
  }
  return config.workers;
}

/**
 * Deals the queues out: queue q of every port goes to worker q modulo the number of workers.
 * @returns the links of each worker, every port's first queue before its others
 * @throws StartError
 */
export function dealQueues(ports: readonly Port[], workers: number): LinkPlan[][] {
  const plans: LinkPlan[][] = Array.from({ length: workers }, () => []);
  for (const port of ports) {
    for (let queue = 0; queue < port.queues; queue++) plans[queue % workers].push({ port, queue });
  }
  const most = Math.max(...plans.map(({ length }) => length));
  if (most > LINKS_MAX) {
    throw new StartError(
      `${most} queues fall to one worker, but it can serve ${LINKS_MAX}: use more workers`,
    );
  }
  return plans;
}
