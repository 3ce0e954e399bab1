// Netlink's framing (netlink(7)): messages in a datagram, attributes in a message. Numbers are in
// host order, which is little-endian wherever WebAssembly's memory can be shared with the kernel.
// Everything is checked against the bytes that are there: a length that lies is an error.

/** Bytes of struct nlmsghdr. */
export const NETLINK_HEADER_SIZE = 16;
/** Bytes of struct nlattr. */
const ATTRIBUTE_HEADER_SIZE = 4;
/** Messages and attributes start at multiples of this. */
const ALIGNMENT = 4;
/** The upper two bits of an attribute's type say how it is encoded. */
const ATTRIBUTE_TYPE_MASK = 0x3fff;

export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;

export const NLM_F_REQUEST = 0x1;
export const NLM_F_ACK = 0x4;
/** In an answer to a dump: something changed meanwhile, so what was read may not fit together. */
export const NLM_F_DUMP_INTR = 0x10;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_DUMP = 0x300;
export const NLM_F_CREATE = 0x400;

/** Bytes that are no netlink message. */
export class NetlinkFormatError extends Error {
  readonly code = 'NETLINK_FORMAT';

  constructor(message: string) {
    super(message);
    this.name = 'NetlinkFormatError';
  }
}

/** One message; the payload starts behind the header. */
export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly payload: Uint8Array;
}

/** Attributes by type; of one that stands there twice, the last. */
export type Attributes = ReadonlyMap<number, Uint8Array>;

/** An attribute to encode. */
export type Attribute = readonly [type: number, value: Uint8Array];

/**
 * The messages of a datagram.
 * @throws NetlinkFormatError
 */
export function parseMessages(datagram: Uint8Array): NetlinkMessage[] {
  const view = viewOf(datagram);
  const messages: NetlinkMessage[] = [];
  for (let at = 0; at < datagram.length; ) {
    const left = datagram.length - at;
    if (left < NETLINK_HEADER_SIZE) {
      throw new NetlinkFormatError(`${left} bytes are too few for a netlink header`);
    }
    const length = view.getUint32(at, true);
    if (length < NETLINK_HEADER_SIZE || length > left) {
      throw new NetlinkFormatError(`a netlink message of ${length} bytes in ${left}`);
    }
    messages.push({
      type: view.getUint16(at + 4, true),
      flags: view.getUint16(at + 6, true),
      sequence: view.getUint32(at + 8, true),
      payload: datagram.subarray(at + NETLINK_HEADER_SIZE, at + length),
    });
    at += align(length);
  }
  return messages;
}

/** A datagram of one message. The port id stays 0: the kernel knows who sends. */
export function encodeMessage(
  header: { readonly type: number; readonly flags: number; readonly sequence: number },
  payload: Uint8Array,
): Uint8Array {
  const datagram = new Uint8Array(NETLINK_HEADER_SIZE + payload.length);
  const view = viewOf(datagram);
  view.setUint32(0, datagram.length, true);
  view.setUint16(4, header.type, true);
  view.setUint16(6, header.flags, true);
  view.setUint32(8, header.sequence, true);
  datagram.set(payload, NETLINK_HEADER_SIZE);
  return datagram;
}

/**
 * The attributes in a message's payload, from `offset` on.
 * @throws NetlinkFormatError
 */
export function parseAttributes(payload: Uint8Array, offset = 0): Attributes {
  const view = viewOf(payload);
  const attributes = new Map<number, Uint8Array>();
  for (let at = offset; at < payload.length; ) {
    const left = payload.length - at;
    const length = left < ATTRIBUTE_HEADER_SIZE ? 0 : view.getUint16(at, true);
    if (length < ATTRIBUTE_HEADER_SIZE || length > left) {
      throw new NetlinkFormatError(`a netlink attribute of ${length} bytes in ${left}`);
    }
    const type = view.getUint16(at + 2, true) & ATTRIBUTE_TYPE_MASK;
    attributes.set(type, payload.subarray(at + ATTRIBUTE_HEADER_SIZE, at + length));
    at += align(length);
  }
  return attributes;
}

/** A fixed header with attributes behind it. */
export function encodePayload(header: Uint8Array, attributes: readonly Attribute[]): Uint8Array {
  const sizes = attributes.map(([, value]) => align(ATTRIBUTE_HEADER_SIZE + value.length));
  const start = align(header.length);
  const payload = new Uint8Array(sizes.reduce((sum, size) => sum + size, start));
  const view = viewOf(payload);
  payload.set(header, 0);
  let at = start;
  for (const [index, [type, value]] of attributes.entries()) {
    view.setUint16(at, ATTRIBUTE_HEADER_SIZE + value.length, true);
    view.setUint16(at + 2, type, true);
    payload.set(value, at + ATTRIBUTE_HEADER_SIZE);
    at += sizes[index]!;
  }
  return payload;
}

/** A u32 attribute's value, or undefined when it is absent or shorter. */
export function attributeU32(attributes: Attributes, type: number): number | undefined {
  const value = attributes.get(type);
  return value === undefined || value.length < 4 ? undefined : viewOf(value).getUint32(0, true);
}

/** A text attribute's value without the zero at its end. */
export function attributeText(attributes: Attributes, type: number): string | undefined {
  const value = attributes.get(type);
  if (value === undefined) return undefined;
  const end = value.indexOf(0);
  return Buffer.from(end < 0 ? value : value.subarray(0, end)).toString('utf8');
}

/** Reads numbers out of bytes, wherever they are. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

function align(length: number): number {
  return (length + ALIGNMENT - 1) & -ALIGNMENT;
}
