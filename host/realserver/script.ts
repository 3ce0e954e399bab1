/**
 * The script that prepares a real server, for any POSIX shell with iproute2. It can be run again,
 * and undone: what it changes is remembered in a directory, and put back when the last virtual
 * address of the machine is gone.
 */

import { type AddressFamily, addressBits } from '../config/address.ts';
import type { RealServerRequest, RealServerTunnel } from './request.ts';

/** One thing to do, and how it is undone. Lines of shell, without indentation. */
interface Step {
  readonly why?: string;
  readonly apply: readonly string[];
  /** Done in reverse order of the steps. What later() was given is undone with the last address. */
  readonly undo?: readonly string[];
}

/** The whole script; its only argument is `apply` (the default) or `undo`. */
export function realServerScript(request: RealServerRequest): string {
  const { method, addresses } = request;
  const names = addresses.map(({ address }) => address).join(', ');
  const steps = stepsOf(request);
  const uses = addresses.map(({ address }) => `"$state/uses/${method},${address}"`);
  return [
    '#!/bin/sh',
    `# Real server of WVS for ${names}, method ${method}. Usage: sh THIS [apply | undo]`,
    ...NOTES[method].map((line) => `# ${line}`),
    'set -eu',
    '',
    ...HELPERS,
    '',
    'apply() {',
    ...indent(['mkdir -p "$state/uses" "$state/settings"']),
    ...steps.flatMap(({ why, apply }) => indent([...comment(why), ...apply])),
    ...indent([`touch ${uses.join(' ')}`]),
    '}',
    '',
    'undo() {',
    ...indent(['[ -d "$state" ] || return 0', `rm -f ${uses.join(' ')}`]),
    ...steps.toReversed().flatMap(({ undo = [] }) => indent(undo)),
    ...indent(['is_used || restore']),
    '}',
    '',
    ...MAIN,
    '',
  ].join('\n');
}

const NOTES: Readonly<Record<RealServerRequest['method'], readonly string[]>> = {
  'direct-route': ['The server owns the virtual address too, keeps silent about it, and answers.'],
  tunnel: ['The server unpacks the tunnel, owns the virtual address too, and answers by itself.'],
  nat: ['Answers go back through the director: it must be the way to every client.'],
  'full-nat': ['Nothing is needed: requests come from the director, and answers go there.'],
};

const HELPERS: readonly string[] = [
  '# What was there before.',
  'state=$' + '{WVS_REALSERVER_STATE:-/run/wvs-realserver}',
  '',
  '# set_value PATH VALUE: a path below /proc/sys.',
  'set_value() {',
  '  saved=$state/settings/$(printf \'%s\' "$1" | tr / ,)',
  '  [ -e "$saved" ] || cat "/proc/sys/$1" >"$saved"',
  '  printf \'%s\\n\' "$2" >"/proc/sys/$1"',
  '}',
  '',
  '# later COMMAND: what to run when the last virtual address of this machine is gone.',
  'later() { printf \'%s\\n\' "$1" >>"$state/later"; }',
  '',
  'restore() {',
  '  # The last first.',
  '  [ ! -e "$state/later" ] || sed -n \'1!G;h;$p\' "$state/later" | sh',
  '  for saved in "$state"/settings/*; do',
  '    [ -e "$saved" ] || continue',
  '    path=/proc/sys/$(basename "$saved" | tr , /)',
  '    # A device that is gone took its settings along.',
  '    [ ! -e "$path" ] || cat "$saved" >"$path"',
  '  done',
  '  rm -rf "$state"',
  '}',
  '',
  'is_used() { [ -n "$(ls "$state/uses" 2>/dev/null)" ]; }',
];

const MAIN: readonly string[] = [
  'case ' + '$' + '{1:-apply} in',
  '  apply) apply ;;',
  '  undo) undo ;;',
  '  *)',
  '    echo "usage: $0 [apply | undo]" >&2',
  '    exit 2',
  '    ;;',
  'esac',
];

function stepsOf(request: RealServerRequest): readonly Step[] {
  switch (request.method) {
    case 'nat':
      return [redirects(), ...request.directors.map(defaultRoute)];
    case 'full-nat':
      return [];
    case 'direct-route':
      return [silence(), ...ownAddresses(request)];
    case 'tunnel':
      return [silence(), ...unpack(request, request.tunnel!), ...ownAddresses(request)];
  }
}

/** Before the address is there, so that not even its first moment is announced. */
function silence(): Step {
  return {
    why: 'Only the director answers ARP for the virtual address.',
    apply: [
      'set_value net/ipv4/conf/all/arp_ignore 1',
      'set_value net/ipv4/conf/all/arp_announce 2',
    ],
  };
}

function ownAddresses({ addresses, interface: device }: RealServerRequest): Step[] {
  const steps: Step[] = device === 'lo' ? [] : [dummy(device)];
  for (const { family, address } of addresses) {
    const target = `${address}/${addressBits(family)} dev ${device}`;
    // A deprecated address is not chosen as the source of the server's own connections.
    const flags = family === 6 ? ' nodad preferred_lft 0' : '';
    steps.push({
      ...(family === 6 && { why: 'Neighbour discovery is answered only where an address is.' }),
      apply: [`ip address replace ${target}${flags}`],
      undo: [`ip address del ${target} 2>/dev/null || :`],
    });
  }
  return steps;
}

function dummy(device: string): Step {
  return {
    why: 'An interface that no wire is on.',
    apply: [
      `if ! ip link show dev ${device} >/dev/null 2>&1; then`,
      `  ip link add ${device} type dummy`,
      `  later 'ip link del ${device}'`,
      `elif ! ip -details link show dev ${device} | grep -q ' dummy '; then`,
      `  echo '${device} is on a wire: the virtual address belongs on lo or a dummy' >&2`,
      '  exit 1',
      'fi',
      `ip link set ${device} up`,
    ],
  };
}

/** The kernel's devices that take tunnels from anybody, and the module each comes with. */
function fallbackDevice(
  type: RealServerTunnel['type'],
  outer: AddressFamily,
  inner: AddressFamily,
): readonly [module: string, device: string] {
  if (type === 'gre') return outer === 4 ? ['ip_gre', 'gre0'] : ['ip6_gre', 'ip6gre0'];
  if (outer === 6) return ['ip6_tunnel', 'ip6tnl0'];
  return inner === 4 ? ['ipip', 'tunl0'] : ['sit', 'sit0'];
}

function unpack({ addresses }: RealServerRequest, tunnel: RealServerTunnel): Step[] {
  const { type, outer } = tunnel;
  const inners = [...new Set(addresses.map(({ family }) => family))].sort();
  const steps = type === 'gue' ? [listenForGue(tunnel)] : [];
  const devices = new Set<string>();
  for (const inner of inners) {
    const [module, device] = fallbackDevice(type, outer, inner);
    if (devices.has(device)) continue;
    devices.add(device);
    steps.push(device === 'ip6tnl0' && inners.includes(4) ? any6(module) : bringUp(module, device));
  }
  return steps;
}

function bringUp(module: string, device: string): Step {
  return {
    why: `Packets come out of ${device} from clients who are reached elsewhere.`,
    apply: [
      `modprobe ${module} 2>/dev/null || :`,
      `if [ -z "$(ip link show dev ${device} up)" ]; then`,
      `  ip link set ${device} up`,
      `  later 'ip link set ${device} down'`,
      'fi',
      `set_value net/ipv4/conf/${device}/rp_filter 2`,
    ],
  };
}

/** ip6tnl0 takes IPv6 only; a device that takes either has another name. */
function any6(module: string): Step {
  const device = 'wvs6';
  return {
    why: 'Packets of either family, from anybody.',
    apply: [
      `modprobe ${module} 2>/dev/null || :`,
      `if ! ip link show dev ${device} >/dev/null 2>&1; then`,
      `  ip link add ${device} type ip6tnl external`,
      `  later 'ip link del ${device}'`,
      'fi',
      `ip link set ${device} up`,
      `set_value net/ipv4/conf/${device}/rp_filter 2`,
    ],
  };
}

function listenForGue({ port, outer }: RealServerTunnel): Step {
  const family = outer === 6 ? ' -6' : '';
  return {
    why: 'UDP of this port is unwrapped, and goes on as if it had come without.',
    apply: [
      'modprobe fou 2>/dev/null || :',
      `if ! ip fou show | grep -q 'port ${port} '; then`,
      `  ip fou add port ${port} gue${family}`,
      `  later 'ip fou del port ${port}${family}'`,
      'fi',
    ],
  };
}

/** In a network with one wire the kernel learns a way around the director, and answers get lost. */
function redirects(): Step {
  return {
    why: 'No way around the director is learnt.',
    apply: [
      'set_value net/ipv4/conf/all/accept_redirects 0',
      'set_value net/ipv4/conf/default/accept_redirects 0',
      'set_value net/ipv6/conf/all/accept_redirects 0',
    ],
  };
}

function defaultRoute({ family, address }: { family: AddressFamily; address: string }): Step {
  const route = family === 6 ? 'ip -6 route' : 'ip route';
  const saved = `"$state/default${family}"`;
  return {
    apply: [
      `if [ ! -e ${saved} ]; then`,
      `  ${route} show default | head -n 1 >${saved}`,
      `  [ ! -s ${saved} ] || later "${route} replace $(cat ${saved})"`,
      `  later '${route} del default via ${address}'`,
      'fi',
      `${route} replace default via ${address}`,
    ],
  };
}

function comment(text: string | undefined): string[] {
  return text === undefined ? [] : [`# ${text}`];
}

function indent(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`);
}
