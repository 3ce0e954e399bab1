// What the kernel says about a network interface.

import { requireInteger, typeError } from './arguments.js';
import { binding } from './binding.js';
import { check } from './errors.js';

const ERRNO_ENODEV = 19;
const IFF_UP = 1;
const INTERFACE_NAME_LENGTH_MAX = 15;
const INTERFACE_INDEX_MAX = 0x7fffffff;
// IFLA_XDP_ATTACHED, by number.
const XDP_ATTACHED = [null, 'native', 'generic', 'offload', 'several'];

export function requireInterface(value, name = 'interface') {
  if (typeof value === 'number') return requireInteger(value, name, 1, INTERFACE_INDEX_MAX);
  if (typeof value !== 'string') throw typeError(name, 'a name or an index', value);
  return value;
}

function read(nameOrIndex) {
  const explain = (code) =>
    code === 'ENODEV' || code === 'EINVAL'
      ? `There is no interface ${nameOrIndex} in this network namespace.`
      : '';
  const isName = typeof nameOrIndex === 'string';
  // A name the kernel could not even hold is a name nothing has.
  if (
    isName &&
    (nameOrIndex === '' || Buffer.byteLength(nameOrIndex) > INTERFACE_NAME_LENGTH_MAX)
  ) {
    return check(-ERRNO_ENODEV, 'netlink(RTM_GETLINK)', explain);
  }
  const result = isName
    ? binding.readInterface(nameOrIndex, 0)
    : binding.readInterface(null, nameOrIndex);
  return check(result, 'netlink(RTM_GETLINK)', explain);
}

function formatMac(bytes) {
  if (bytes.length === 0) return null;
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}

export function interfaceInfo(nameOrIndex) {
  const link = read(requireInterface(nameOrIndex, 'The interface'));
  const answer = binding.readChannels(link.name);
  const channels = typeof answer === 'number' ? { rx: 0, tx: 0, combined: 0 } : answer;
  const mode = XDP_ATTACHED[link.xdpAttached] ?? null;
  return {
    name: link.name,
    index: link.index,
    mac: formatMac(link.mac),
    mtu: link.mtu,
    flags: link.flags,
    up: (link.flags & IFF_UP) !== 0,
    rxQueues: channels.rx + channels.combined || link.rxQueues,
    txQueues: channels.tx + channels.combined || link.txQueues,
    combinedQueues: channels.combined,
    kind: link.kind || null,
    xdp: mode === null ? null : { mode, programId: link.xdpProgramId },
  };
}
