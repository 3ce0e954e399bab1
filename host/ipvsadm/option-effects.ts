import {
  FORWARD_DIRECT_ROUTE,
  FORWARD_FULL_NAT,
  FORWARD_NAT,
  FORWARD_TUNNEL,
  SERVICE_ONE_PACKET,
  SERVICE_PERSISTENT,
  TUNNEL_CHECKSUM,
  TUNNEL_NO_CHECKSUM,
  TUNNEL_REMOTE_CHECKSUM,
} from '../../assembly/shared/codes.ts';
import { parseAddress, parseIpv4, parseIpv6 } from '../config/address.ts';
import type { ServiceProtocol } from '../ipvs/types.ts';
import type { Command } from './command.ts';
import { parseDecimal, parseLeadingDecimal, parseMark } from './numbers.ts';
import { type OptionSpec, TUNNEL_TYPES } from './options.ts';
import type { Output } from './output.ts';
import { parseAddressAndPort, parseHost } from './parse-address.ts';
import { type ParseContext, parseTimeout } from './parse-context.ts';
import type { Resolver } from './resolver.ts';

const INT_MAX = 0x7fff_ffff;
const PORT_MAX = 65_535;
/** 6 minutes, the time of -p without one. */
const DEFAULT_PERSISTENCE_SECONDS = 360;
const SCHEDULER_NAME_LENGTH_MAX = 15;
const ENGINE_NAME_LENGTH_MAX = 16;
/** The largest sync message, without the headers of IPv4 and UDP. */
const SYNC_LENGTH_MAX = 65_535 - 20 - 8;

/** What an option does to the command. `value` is "" for one without. */
type Effect = (command: Command, value: string, output: Output, resolver: Resolver) => void;

/** Lets an option take effect. A value that makes no sense ends the run. */
export function applyOption(
  command: Command,
  spec: OptionSpec,
  value: string | undefined,
  { output, resolver }: ParseContext,
): void {
  if (spec.long === 'persistent') {
    setPersistence(command, value, output);
    return;
  }
  const name = spec.long === '' ? 'fullnat' : spec.long;
  EFFECTS.get(name)?.(command, value ?? '', output, resolver);
}

/** By long name. Options that are missing here only have to be given. */
const EFFECTS: ReadonlyMap<string, Effect> = new Map<string, Effect>([
  ['tcp-service', (...all) => setService('tcp', ...all)],
  ['udp-service', (...all) => setService('udp', ...all)],
  ['sctp-service', (...all) => setService('sctp', ...all)],
  ['fwmark-service', setMark],
  ['scheduler', setScheduler],
  ['netmask', setMask],
  ['real-server', setServer],
  ['ipip', forwarding(FORWARD_TUNNEL)],
  ['gatewaying', forwarding(FORWARD_DIRECT_ROUTE)],
  ['masquerading', forwarding(FORWARD_NAT)],
  ['fullnat', forwarding(FORWARD_FULL_NAT)],
  ['weight', setWeight],
  ['u-threshold', setUpperThreshold],
  ['l-threshold', setLowerThreshold],
  ['syncid', within(0, 255, 'syncid')],
  ['ipv6', setIpv6],
  ['ops', setOnePacket],
  ['pe', setEngine],
  ['mcast-group', checkGroup],
  ['mcast-port', within(1, PORT_MAX, 'mcast-port')],
  ['mcast-ttl', within(1, 255, 'mcast-ttl')],
  ['sync-maxlen', within(1, SYNC_LENGTH_MAX, 'sync-maxlen')],
  ['tun-type', setTunnelType],
  ['tun-port', setTunnelPort],
  ['tun-nocsum', checksum(TUNNEL_NO_CHECKSUM)],
  ['tun-csum', checksum(TUNNEL_CHECKSUM)],
  ['tun-remcsum', checksum(TUNNEL_REMOTE_CHECKSUM)],
  ['laddr', setLocalAddress],
  ['ifname', setLocalInterface],
]);

function forwarding(method: number): Effect {
  return ({ server }) => {
    server.forwarding = method;
  };
}

function checksum(flag: number): Effect {
  return ({ server }) => {
    server.tunnelFlags |= flag;
  };
}

/** What the sync daemon would be given is only checked. */
function within(min: number, max: number, what: string): Effect {
  return (_, value, output) => {
    need(value, min, max, what, output);
  };
}

/** A number within the limits; anything else ends the run. */
function need(text: string, min: number, max: number, what: string, output: Output): number {
  const value = parseDecimal(text, min, max);
  if (value === undefined) output.fail(`illegal ${what} specified`);
  return value;
}

function setService(
  protocol: ServiceProtocol,
  { service }: Command,
  value: string,
  output: Output,
  resolver: Resolver,
): void {
  service.protocol = protocol;
  const place = parseAddressAndPort(value, protocol, resolver);
  if (place === undefined) output.fail('illegal virtual server address[:port] specified');
  service.family = place.family;
  service.address = place.address;
  if (place.port !== undefined) service.port = place.port;
  if (place.family === 6) service.persistenceMask = '128';
}

function setMark({ service }: Command, value: string, output: Output): void {
  service.family = 4;
  // A mark has no protocol; ipvsadm takes TCP, by which the names of ports are then found.
  service.protocol = 'tcp';
  const mark = parseMark(value);
  if (mark === undefined) output.fail(`invalid fwmark value \`${value}' specified`);
  service.mark = mark;
}

function setIpv6({ service }: Command, _value: string, output: Output): void {
  if (service.mark === 0) output.fail('-6 used before -f\n');
  service.family = 6;
  service.persistenceMask = '128';
}

function setOnePacket({ service }: Command): void {
  service.flags |= SERVICE_ONE_PACKET;
}

function setEngine({ service }: Command, value: string): void {
  service.engine = value.slice(0, ENGINE_NAME_LENGTH_MAX);
}

function setScheduler({ service }: Command, value: string): void {
  service.scheduler = value.slice(0, SCHEDULER_NAME_LENGTH_MAX);
}

function setPersistence({ service }: Command, value: string | undefined, output: Output): void {
  service.flags |= SERVICE_PERSISTENT;
  service.persistenceSeconds =
    value === undefined ? DEFAULT_PERSISTENCE_SECONDS : parseTimeout(value, 1, output);
}

function setMask({ service }: Command, value: string, output: Output, resolver: Resolver): void {
  if (service.family === 6) {
    const length = parseLeadingDecimal(value);
    if (length < 1 || length > 128) output.fail('illegal ipv6 netmask specified');
    service.persistenceMask = String(length);
    return;
  }
  const mask = parseHost(value, resolver);
  if (mask === undefined) output.fail('illegal virtual server persistent mask specified');
  service.persistenceMask = mask;
}

function setServer(
  { service, server }: Command,
  value: string,
  output: Output,
  resolver: Resolver,
): void {
  const place = parseAddressAndPort(value, service.protocol, resolver);
  if (place === undefined) output.fail('illegal real server address[:port] specified');
  server.family = place.family;
  server.address = place.address;
  // Also when the service comes after the server, and its port is not known yet.
  server.port = place.port ?? service.port;
}

/** As Debian builds ipvsadm; the manual's limit is 65535. */
function setWeight({ server }: Command, value: string, output: Output): void {
  server.weight = need(value, 0, INT_MAX, 'weight', output);
}

function setUpperThreshold({ server }: Command, value: string, output: Output): void {
  server.upperThreshold = need(value, 0, INT_MAX, 'u_threshold', output);
}

function setLowerThreshold({ server }: Command, value: string, output: Output): void {
  server.lowerThreshold = need(value, 0, INT_MAX, 'l_threshold', output);
}

function setTunnelType({ server }: Command, value: string, output: Output): void {
  const type = TUNNEL_TYPES.findIndex(({ name }) => name === value);
  if (type < 0) output.fail('illegal tunnel type specified');
  server.tunnelType = type;
}

function setTunnelPort({ server }: Command, value: string, output: Output): void {
  server.tunnelPort = need(value, 1, PORT_MAX, 'tunnel port', output);
}

function setLocalAddress(command: Command, value: string, output: Output): void {
  const parsed = parseAddress(value);
  if (parsed === undefined) output.fail('illegal local address specified');
  command.localAddress = parsed.address;
}

function setLocalInterface(command: Command, value: string): void {
  command.localInterface = value;
}

function checkGroup(_: Command, value: string, output: Output): void {
  if (value.includes(':')) {
    const groups = parseIpv6(value);
    const isMulticast = groups !== undefined && groups[0]! >= 0xff00;
    if (!isMulticast) output.fail(`invalid IPv6 mcast-group \`${value}'`);
    return;
  }
  const address = parseIpv4(value);
  const isMulticast = address !== undefined && address >>> 28 === 0xe;
  if (!isMulticast) output.fail(`invalid IPv4 mcast-group \`${value}'`);
}
