/** Checks of the ports: interface, driver, queues, offloads. */

import { FRAME_HEADROOM, FRAME_SIZE } from '../../assembly/shared/limits.ts';
import { nativeDriver } from './drivers.ts';
import type { Facts } from './facts.ts';
import {
  type Check,
  type ExistingPort,
  type Finding,
  fail,
  ok,
  portCheck,
  type Verdict,
  warn,
} from './finding.ts';

/** Ethernet header with a VLAN tag. */
const FRAME_OVERHEAD = 18;
export const MTU_MAX = FRAME_SIZE - FRAME_HEADROOM - FRAME_OVERHEAD;

/** Offloads that join packets before XDP sees them: drivers turn them off, or refuse XDP. */
const HARDWARE_COALESCING = ['rx-lro', 'rx-gro-hw'];

/** The checks of this file, in the order in which they are printed. */
export const PORT_CHECKS: readonly Check[] = [
  findInterfaces,
  portCheck('link', judgeLink),
  portCheck('mtu', judgeMtu),
  portCheck('xdp', judgeXdp),
  portCheck('xdp-attached', judgeAttached),
  portCheck('queues', judgeQueues),
  portCheck('offloads', judgeOffloads),
  portCheck('rp-filter', judgeRpFilter),
];

function findInterfaces({ ports }: Facts): Finding[] {
  return ports
    .filter(({ info }) => info === undefined)
    .map((port) => ({
      check: 'interface',
      subject: `port ${port.name}`,
      ...fail(`there is no interface ${port.interface}`, 'ip -brief link   (lists them)'),
    }));
}

function judgeLink({ info }: ExistingPort): Verdict {
  if (info.mac === null) return fail(`${info.name} is no Ethernet interface`, 'use another one');
  if (!info.up) return fail(`${info.name} is down`, `ip link set ${info.name} up`);
  return ok(`${info.name} is up, ${info.mac}`);
}

function judgeMtu({ info: { mtu, name } }: ExistingPort): Verdict {
  if (mtu <= MTU_MAX) return ok(`MTU ${mtu}; at most ${MTU_MAX} fit a frame`);
  const saw = `MTU ${mtu}, but at most ${MTU_MAX} fit a frame`;
  return fail(saw, `ip link set ${name} mtu ${Math.min(1500, MTU_MAX)}`);
}

/** Nothing is attached to find out: the kernel says it, or the driver's name does. */
function judgeXdp({ driver, xdp, wanted, info }: ExistingPort): Verdict {
  const name = driver ?? 'an unknown driver';
  if (wanted.mode === 'generic') return ok(`${name}; generic mode, as configured`);
  const known = xdp === undefined ? nativeDriver(driver) : xdp.native && xdp.redirect;
  const source = xdp === undefined ? "from the driver's name" : 'the kernel says';
  if (known === undefined) {
    return warn(`${name}: whether it has native XDP shows only when the director attaches`);
  }
  if (!known) {
    const saw = `${name} has no native XDP (${source}): generic mode, which is several times slower`;
    if (wanted.mode === 'native') return fail(saw, 'ports[].xdp: auto');
    return warn(saw, `use an interface whose driver has it in place of ${info.name}`);
  }
  const copies =
    xdp === undefined ? '' : xdp.zeroCopy ? ', zero-copy' : ', frames are copied (no zero-copy)';
  return ok(`${name} has native XDP${copies} (${source})`);
}

function judgeAttached({ info: { xdp, name } }: ExistingPort, { director }: Facts): Verdict {
  if (xdp === null) return ok('no XDP program is attached');
  const saw = `XDP program ${xdp.programId} is attached (${xdp.mode})`;
  if (director.pid !== undefined) return ok(`${saw}; a director is running`);
  return fail(`${saw}, and there can be only one`, `ip link set dev ${name} xdp off`);
}

function judgeQueues(
  { info: { rxQueues, txQueues, combinedQueues, name }, wanted }: ExistingPort,
  { plan, machine: { cpus } }: Facts,
): Verdict {
  const available = Math.min(rxQueues, txQueues);
  const used = wanted.queues ?? available;
  const channel = combinedQueues > 0 ? 'combined' : 'rx';
  const resize = (count: number) =>
    channel === 'combined'
      ? `ethtool -L ${name} combined ${count}`
      : `ethtool -L ${name} rx ${count} tx ${count}`;
  if (used > available) {
    return fail(`${used} queues are configured, ${available} are there`, resize(used));
  }
  const saw = `${rxQueues} receive and ${txQueues} transmit queues`;
  if (used < rxQueues) {
    const lost = `${saw}, of which ${used} are served: packets on the others pass to the kernel`;
    return warn(lost, resize(used));
  }
  if (plan === undefined) return ok(saw);
  const workers = `${saw} for ${plan.workers} workers`;
  if (plan.workers > cpus) {
    return warn(`${workers} on ${cpus} CPUs`, `director.workers: ${cpus}`);
  }
  if (used % plan.workers !== 0) {
    return warn(`${workers}: some workers get more queues than others`, resize(plan.workers));
  }
  return ok(`${workers} on ${cpus} CPUs`);
}

function judgeOffloads({ offloads, info: { name, kind }, ...port }: ExistingPort): Verdict {
  if (offloads === undefined) return warn('ethtool does not answer; LRO must be off');
  const coalescing = HARDWARE_COALESCING.filter((offload) => offloads.has(offload));
  if (coalescing.length > 0) {
    const saw = `${coalescing.join(', ')} is on, with which some drivers refuse native XDP`;
    const off = coalescing.map((offload) => `${offload} off`).join(' ');
    return warn(saw, `ethtool -K ${name} ${off}`);
  }
  const isGeneric = port.wanted.mode === 'generic' || port.xdp?.native === false;
  if (isGeneric && offloads.has('rx-gro')) {
    const saw = 'rx-gro joins packets before generic XDP sees them';
    return warn(saw, `ethtool -K ${name} gro off`);
  }
  // A virtual interface's peer loses its TSO when XDP is attached; a real one's is not passed by.
  const aside = kind === null ? '' : '; TSO of the peer ends with the attachment';
  return ok(`LRO is off; GRO and TSO are the kernel's own and do not matter here${aside}`);
}

function judgeRpFilter({ rpFilter }: ExistingPort): Verdict {
  if (rpFilter === undefined) return undefined;
  const strict = 'strict: concerns only what passes to the kernel, such as health checks';
  const words = ['off', strict, 'loose'];
  return ok(`rp_filter is ${words[rpFilter] ?? rpFilter}; packets of services do not meet it`);
}
