// What the MTU of the way means for packets that are larger than the one asked about: which are
// cut, which are refused, and with what the sender is told. assembly/hops.ts,
// assembly/forward/tunnel.ts.

import {
  TUNNEL_CHECKSUM,
  TUNNEL_GRE,
  TUNNEL_GUE,
  TUNNEL_NO_CHECKSUM,
  TUNNEL_REMOTE_CHECKSUM,
} from '../../assembly/shared/codes.ts';
import {
  DESTINATION_FAMILY,
  DESTINATION_STATE_PATH_MTU,
  DESTINATION_STATE_PATH_MTU_EXPIRES,
  DESTINATION_TUNNEL_FLAGS,
  DESTINATION_TUNNEL_PORT,
  DESTINATION_TUNNEL_TYPE,
  SYSCTL_PMTU_DISC,
} from '../../assembly/shared/layout.ts';
import { swapPort } from '../tables/hash.ts';
import type { Inquiry } from './explain.ts';
import type { Way } from './next-hop.ts';

const OUTER_IPV4_BYTES = 20;
const OUTER_IPV6_BYTES = 40;
const UDP_AND_GUE_BYTES = 12;
const GRE_BYTES = 4;
const GRE_CHECKSUM_BYTES = 4;
/** Least MTU a tunnel may leave to the packet inside, by the outer header. */
const TUNNEL_MTU_MIN_IPV4 = 68;
const TUNNEL_MTU_MIN_IPV6 = 1280;
/** IP and TCP headers without options: what an MSS leaves out of an MTU. */
const HEADERS_IPV4 = 40;
const HEADERS_IPV6 = 60;

const CHECKSUM_NAMES: ReadonlyMap<number, string> = new Map([
  [TUNNEL_NO_CHECKSUM, ''],
  [TUNNEL_CHECKSUM, ' with checksum'],
  [TUNNEL_REMOTE_CHECKSUM, ' with remote checksum'],
]);

/** A destination's tunnel. */
export interface TunnelDescription {
  readonly type: 'ipip' | 'gue' | 'gre';
  readonly text: string;
  /** Bytes in front of the client's packet. */
  readonly overhead: number;
  readonly least: number;
}

/** Reads a destination's tunnel from the published tables. */
export function tunnelOf({ memory, published }: Inquiry, destination: number): TunnelDescription {
  const at = memory.destination(published.bank, destination);
  const flags = memory.u8[at + DESTINATION_TUNNEL_FLAGS];
  const isIpv4 = memory.u8[at + DESTINATION_FAMILY] === 4;
  const outer = isIpv4 ? OUTER_IPV4_BYTES : OUTER_IPV6_BYTES;
  const least = isIpv4 ? TUNNEL_MTU_MIN_IPV4 : TUNNEL_MTU_MIN_IPV6;
  const checksum = CHECKSUM_NAMES.get(flags) ?? '';
  switch (memory.u8[at + DESTINATION_TUNNEL_TYPE]) {
    case TUNNEL_GUE: {
      const port = swapPort(memory.u16[(at + DESTINATION_TUNNEL_PORT) >>> 1]);
      const text = `in GUE (UDP port ${port})${checksum}`;
      return { type: 'gue', text, overhead: outer + UDP_AND_GUE_BYTES, least };
    }
    case TUNNEL_GRE: {
      const shim = GRE_BYTES + ((flags & TUNNEL_CHECKSUM) !== 0 ? GRE_CHECKSUM_BYTES : 0);
      return { type: 'gre', text: `in GRE${checksum}`, overhead: outer + shim, least };
    }
    default:
      return { type: 'ipip', text: 'in IPIP', overhead: outer, least };
  }
}

/**
 * Notes what happens to packets of any size on the way.
 * @returns false when the tunnel leaves so little that every packet is dropped
 */
export function mtuConsequences(
  inquiry: Inquiry,
  on: {
    readonly way: Way & { kind: 'neighbour' };
    readonly destination: number;
    readonly isTunnel: boolean;
  },
): boolean {
  const { question, note } = inquiry;
  const { way, destination, isTunnel } = on;
  if (!isTunnel) {
    note('mtu', plainText(question.family, way.mtu, way.port), { mtu: way.mtu, overhead: 0 });
    return true;
  }
  const { overhead, least } = tunnelOf(inquiry, destination);
  const learned = learnedMtu(inquiry, destination);
  const outer = learned !== undefined && learned < way.mtu ? learned : way.mtu;
  const mtu = outer - overhead;
  const facts = { mtu, overhead, ...(learned !== undefined && { learned }) };
  if (mtu < least) {
    note('mtu', `${outer} less ${overhead} of tunnel is less than the least, ${least}`, facts);
    return false;
  }
  const where = outer === way.mtu ? `port ${way.port}` : 'the way, as a router told';
  const isCut = question.family === 4 && inquiry.published.word(SYSCTL_PMTU_DISC) === 0;
  const fate = isCut ? 'longer ones travel in fragments' : refusal(question.family, mtu);
  const segment = mtu - (question.family === 4 ? HEADERS_IPV4 : HEADERS_IPV6);
  const hint = `TCP needs no discovery with MSS ${segment} or port MTU ${way.mtu + overhead}`;
  note(
    'mtu',
    `${outer} of ${where} less ${overhead} of tunnel leave ${mtu}: ${fate}; ${hint}`,
    facts,
  );
  return true;
}

function plainText(family: 4 | 6, mtu: number, port: string): string {
  const fate =
    family === 4
      ? `longer packets are cut, or with DF refused with "fragmentation needed, MTU ${mtu}"`
      : refusal(6, mtu);
  return `${mtu} of port ${port}: ${fate}`;
}

function refusal(family: 4 | 6, mtu: number): string {
  if (family === 6) return `longer packets are refused with "packet too big, MTU ${mtu}"`;
  return `longer packets are cut, or with DF refused with "fragmentation needed, MTU ${mtu}"`;
}

/** A path MTU that an error about a tunnel packet has told, while it lasts. */
function learnedMtu({ memory, now }: Inquiry, destination: number): number | undefined {
  const state = memory.destinationState(destination);
  const mtu = memory.u32[(state + DESTINATION_STATE_PATH_MTU) >>> 2];
  const expires = memory.u32[(state + DESTINATION_STATE_PATH_MTU_EXPIRES) >>> 2];
  if (mtu === 0 || ((expires - now) | 0) <= 0) return undefined;
  return mtu;
}
