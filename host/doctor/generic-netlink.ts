/**
 * Requests to the kernel's generic netlink families, one answer each. Two are asked: `netdev`, which
 * since Linux 6.3 says what a driver can do with XDP, and `ethtool`, for the offloads.
 */

import { type NetlinkSocket, openNetlink } from 'af-xdp-socket';
import {
  type Attribute,
  type Attributes,
  attributeText,
  encodeMessage,
  encodePayload,
  NLM_F_REQUEST,
  NLMSG_ERROR,
  parseAttributes,
  parseMessages,
  viewOf,
} from '../world/netlink-message.ts';
import type { XdpFeatures } from './facts.ts';

const NETLINK_GENERIC = 16;
const ANSWER_TIMEOUT_MS = 1000;
/** struct genlmsghdr: command, version, two reserved bytes. */
const HEADER_SIZE = 4;
const NESTED = 0x8000;

const GENL_ID_CTRL = 16;
const CTRL_CMD_GETFAMILY = 3;
const CTRL_ATTR_FAMILY_ID = 1;
const CTRL_ATTR_FAMILY_NAME = 2;

const NETDEV_CMD_DEV_GET = 1;
const NETDEV_A_DEV_IFINDEX = 1;
const NETDEV_A_DEV_XDP_FEATURES = 3;
const XDP_BASIC = 1;
const XDP_REDIRECT = 2;
const XDP_NDO_XMIT = 4;
const XDP_XSK_ZEROCOPY = 8;

const ETHTOOL_MSG_FEATURES_GET = 11;
const ETHTOOL_A_FEATURES_HEADER = 1;
const ETHTOOL_A_FEATURES_ACTIVE = 4;
const ETHTOOL_A_HEADER_DEV_INDEX = 1;
const ETHTOOL_A_BITSET_BITS = 3;
const ETHTOOL_A_BITSET_BITS_BIT = 1;
const ETHTOOL_A_BITSET_BIT_NAME = 2;

/** A socket to ask generic netlink families; one question at a time. */
export class GenericNetlink {
  readonly #socket: NetlinkSocket;
  #sequence = 0;
  #take: ((payload: Uint8Array | undefined) => void) | undefined;

  constructor() {
    this.#socket = openNetlink({
      protocol: NETLINK_GENERIC,
      onMessage: (datagram) => this.#onDatagram(datagram),
      onError: () => this.#take?.(undefined),
    });
  }

  /** What the driver declares about XDP, or undefined when the kernel does not say. */
  async xdpFeatures(ifindex: number): Promise<XdpFeatures | undefined> {
    const attributes: Attribute[] = [[NETDEV_A_DEV_IFINDEX, u32(ifindex)]];
    const answer = await this.#ask('netdev', NETDEV_CMD_DEV_GET, attributes);
    const value = answer?.get(NETDEV_A_DEV_XDP_FEATURES);
    if (value === undefined || value.length < 8) return undefined;
    const bits = Number(viewOf(value).getBigUint64(0, true) & 0xffn);
    return {
      native: (bits & XDP_BASIC) !== 0,
      redirect: (bits & XDP_REDIRECT) !== 0,
      transmit: (bits & XDP_NDO_XMIT) !== 0,
      zeroCopy: (bits & XDP_XSK_ZEROCOPY) !== 0,
    };
  }

  /** Offloads that are on, by the names of `ethtool -k`'s long list (`rx-lro`, `rx-gro`). */
  async activeOffloads(ifindex: number): Promise<ReadonlySet<string> | undefined> {
    const device = encodePayload(new Uint8Array(0), [[ETHTOOL_A_HEADER_DEV_INDEX, u32(ifindex)]]);
    const attributes: Attribute[] = [[ETHTOOL_A_FEATURES_HEADER | NESTED, device]];
    const answer = await this.#ask('ethtool', ETHTOOL_MSG_FEATURES_GET, attributes);
    const active = answer?.get(ETHTOOL_A_FEATURES_ACTIVE);
    const bits = active && parseAttributes(active).get(ETHTOOL_A_BITSET_BITS);
    return bits === undefined ? undefined : bitNames(bits);
  }

  close(): void {
    this.#socket.close();
  }

  /** The attributes of the answer, or undefined for a refusal. */
  async #ask(
    family: string,
    command: number,
    attributes: readonly Attribute[],
  ): Promise<Attributes | undefined> {
    const id = await this.#family(family);
    return id === undefined ? undefined : await this.#exchange(id, command, attributes);
  }

  async #family(name: string): Promise<number | undefined> {
    const text = Buffer.from(`${name}\0`);
    const attributes: Attribute[] = [[CTRL_ATTR_FAMILY_NAME, text]];
    const answer = await this.#exchange(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, attributes);
    const value = answer?.get(CTRL_ATTR_FAMILY_ID);
    return value === undefined ? undefined : viewOf(value).getUint16(0, true);
  }

  #exchange(
    type: number,
    command: number,
    attributes: readonly Attribute[],
  ): Promise<Attributes | undefined> {
    this.#sequence++;
    const payload = encodePayload(Uint8Array.of(command, 1, 0, 0), attributes);
    const header = { type, flags: NLM_F_REQUEST, sequence: this.#sequence };
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#take?.(undefined), ANSWER_TIMEOUT_MS);
      this.#take = (answer) => {
        clearTimeout(timer);
        this.#take = undefined;
        resolve(answer === undefined ? undefined : parseAttributes(answer, HEADER_SIZE));
      };
      this.#socket.send(encodeMessage(header, payload));
    });
  }

  #onDatagram(datagram: Uint8Array): void {
    for (const { type, sequence, payload } of parseMessages(datagram)) {
      if (sequence !== this.#sequence) continue;
      this.#take?.(type === NLMSG_ERROR ? undefined : payload);
    }
  }
}

/**
 * The names in a list of bits. Its entries are all of one type, so that parseAttributes(), which
 * keeps one of each, does not do.
 */
function bitNames(bits: Uint8Array): ReadonlySet<string> {
  const names = new Set<string>();
  const view = viewOf(bits);
  for (let at = 0; at + HEADER_SIZE <= bits.length; ) {
    const length = view.getUint16(at, true);
    if (length < HEADER_SIZE || at + length > bits.length) break;
    if ((view.getUint16(at + 2, true) & ~NESTED) === ETHTOOL_A_BITSET_BITS_BIT) {
      const bit = parseAttributes(bits.subarray(at + HEADER_SIZE, at + length));
      const name = attributeText(bit, ETHTOOL_A_BITSET_BIT_NAME);
      // A list without a mask, as this one is, names only the bits that are on.
      if (name !== undefined) names.add(name);
    }
    at += (length + 3) & ~3;
  }
  return names;
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value, true);
  return bytes;
}
