/**
 * Builds frames in reading order:
 *
 *     packet(ethernet(), ipv4({ source: '198.51.100.1', destination: '192.0.2.80' }),
 *            tcp({ sourcePort: 1000, destinationPort: 80, flags: 'S' }), payload('hello'))
 *
 * Lengths, next protocols and checksums are filled in, correct ones, unless a layer is given its
 * own: a field set explicitly is written as it is. The arithmetic here is deliberately the plain
 * one and shares nothing with the data plane, which is tested against it.
 */

const encoder = new TextEncoder();

/** The addresses around a transport header, for its pseudo-header. */
interface Surroundings {
  source: Uint8Array;
  destination: Uint8Array;
}

/** One layer; `build` makes its bytes and those of all layers inside it. */
export interface Layer {
  /** Its number as an IP protocol, its Ethernet type; 0 when it has none. */
  readonly protocol: number;
  readonly etherType: number;
  build(inner: readonly Layer[], around: Surroundings | undefined): Uint8Array;
}

/** Puts the layers into each other, the first outermost. */
export function packet(...layers: Layer[]): Uint8Array {
  return buildInner(layers, undefined);
}

function buildInner(layers: readonly Layer[], around: Surroundings | undefined): Uint8Array {
  const [first, ...rest] = layers;
  return first === undefined ? new Uint8Array(0) : first.build(rest, around);
}

// ---- addresses and sums

/** "192.0.2.1" or "2001:db8::1" in network order, 4 or 16 bytes. */
export function addressBytes(text: string): Uint8Array {
  if (!text.includes(':')) return Uint8Array.from(text.split('.').map(Number));
  const [head = '', tail] = text.split('::');
  const groups = (part: string) => part.split(':').filter((group) => group !== '');
  const front = groups(head);
  const back = tail === undefined ? [] : groups(tail);
  const zeros = new Array<string>(8 - front.length - back.length).fill('0');
  const bytes = new Uint8Array(16);
  for (const [index, group] of [...front, ...zeros, ...back].entries()) {
    putBe16(bytes, index * 2, Number.parseInt(group, 16));
  }
  return bytes;
}

/** "02:00:00:00:00:01", 6 bytes. */
export function macBytes(text: string): Uint8Array {
  return Uint8Array.from(text.split(':').map((byte) => Number.parseInt(byte, 16)));
}

/** RFC 1071 word by word: the folded sum in host order, an odd last byte padded with zero. */
export function wordSum(...parts: Uint8Array[]): number {
  let sum = 0;
  for (const part of parts) {
    for (let i = 0; i < part.length; i += 2) {
      sum += ((part[i] ?? 0) << 8) | (part[i + 1] ?? 0);
      if (sum > 0xffff) sum -= 0xffff;
    }
  }
  return sum;
}

/** The Internet checksum over all the parts, each of which but the last has an even length. */
export function internetChecksum(...parts: Uint8Array[]): number {
  return ~wordSum(...parts) & 0xffff;
}

/** The pseudo-header of RFC 9293 3.1 or RFC 8200 8.1, by the length of the addresses. */
export function pseudoHeader(
  source: Uint8Array,
  destination: Uint8Array,
  protocol: number,
  length: number,
): Uint8Array {
  if (source.length === 4) {
    return concatenate(source, destination, be16(protocol), be16(length));
  }
  return concatenate(source, destination, be32(length), be32(protocol));
}

/** CRC32c bit by bit (RFC 9260 appendix A). */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) {
      crc = (crc & 1) !== 0 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
    }
  }
  return ~crc >>> 0;
}

// ---- bytes

function putBe16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

function be16(value: number): Uint8Array {
  return Uint8Array.of(value >>> 8, value);
}

function be32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

/** The parts one behind the other. */
export function concatenate(...parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Lower-case hexadecimal without spaces, as the recordings write it. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** The inverse of toHex; spaces and line breaks are allowed. */
export function fromHex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replace(/\s+/g, ''), 'hex'));
}

// ---- link and network layers

export interface EthernetFields {
  destination?: string;
  source?: string;
  type?: number;
}

export function ethernet(fields: EthernetFields = {}): Layer {
  return {
    protocol: 0,
    etherType: 0x6558,
    build(inner) {
      return concatenate(
        macBytes(fields.destination ?? '02:00:00:00:00:01'),
        macBytes(fields.source ?? '02:00:00:00:00:02'),
        be16(fields.type ?? inner[0]?.etherType ?? 0),
        buildInner(inner, undefined),
      );
    },
  };
}

export interface Ipv4Fields {
  source?: string;
  destination?: string;
  protocol?: number;
  timeToLive?: number;
  typeOfService?: number;
  identification?: number;
  dontFragment?: boolean;
  /** In bytes, a multiple of 8. */
  fragmentOffset?: number;
  moreFragments?: boolean;
  /** A multiple of 4 bytes. */
  options?: Uint8Array;
  version?: number;
  /** In words of 4 bytes. */
  headerWords?: number;
  totalLength?: number;
  checksum?: number;
}

export function ipv4(fields: Ipv4Fields = {}): Layer {
  const source = addressBytes(fields.source ?? '198.51.100.1');
  const destination = addressBytes(fields.destination ?? '192.0.2.80');
  const options = fields.options ?? new Uint8Array(0);
  return {
    protocol: 4,
    etherType: 0x0800,
    build(inner) {
      const body = buildInner(inner, { source, destination });
      const headerLength = 20 + options.length;
      const header = concatenate(new Uint8Array(20), options);
      header[0] = ((fields.version ?? 4) << 4) | (fields.headerWords ?? headerLength / 4);
      header[1] = fields.typeOfService ?? 0;
      putBe16(header, 2, fields.totalLength ?? headerLength + body.length);
      putBe16(header, 4, fields.identification ?? 1);
      putBe16(header, 6, fragmentField(fields));
      header[8] = fields.timeToLive ?? 64;
      header[9] = fields.protocol ?? inner[0]?.protocol ?? 0;
      header.set(source, 12);
      header.set(destination, 16);
      putBe16(header, 10, fields.checksum ?? internetChecksum(header));
      return concatenate(header, body);
    },
  };
}

function fragmentField(fields: Ipv4Fields): number {
  const flags = (fields.dontFragment ? 0x4000 : 0) | (fields.moreFragments ? 0x2000 : 0);
  return flags | ((fields.fragmentOffset ?? 0) >>> 3);
}

export interface Ipv6Fields {
  source?: string;
  destination?: string;
  nextHeader?: number;
  hopLimit?: number;
  trafficClass?: number;
  flowLabel?: number;
  version?: number;
  payloadLength?: number;
}

export function ipv6(fields: Ipv6Fields = {}): Layer {
  const source = addressBytes(fields.source ?? '2001:db8:ffff::1');
  const destination = addressBytes(fields.destination ?? '2001:db8:1::80');
  return {
    protocol: 41,
    etherType: 0x86dd,
    build(inner) {
      const body = buildInner(inner, { source, destination });
      const version = (fields.version ?? 6) << 28;
      const word = version | ((fields.trafficClass ?? 0) << 20) | (fields.flowLabel ?? 0);
      const nextHeader = fields.nextHeader ?? inner[0]?.protocol ?? 59;
      return concatenate(
        be32(word),
        be16(fields.payloadLength ?? body.length),
        Uint8Array.of(nextHeader, fields.hopLimit ?? 64),
        source,
        destination,
        body,
      );
    },
  };
}

export interface ExtensionFields {
  nextHeader?: number;
  /** Of the header, in bytes: a multiple of 8 (of 4 for the authentication header). */
  length?: number;
}

/** Hop-by-hop (0), routing (43) or destination options (60), filled with padding options. */
export function extension(protocol: 0 | 43 | 60, fields: ExtensionFields = {}): Layer {
  const length = fields.length ?? 8;
  return {
    protocol,
    etherType: 0,
    build(inner, around) {
      const header = new Uint8Array(length);
      header[0] = fields.nextHeader ?? inner[0]?.protocol ?? 59;
      header[1] = length / 8 - 1;
      // PadN over the rest; a routing header reads it as type 1 with some address bytes.
      header[2] = 1;
      header[3] = length - 4;
      return concatenate(header, buildInner(inner, around));
    },
  };
}

/** The authentication header, as an extension header of IPv6 or a protocol of IPv4. */
export function authentication(fields: ExtensionFields = {}): Layer {
  const length = fields.length ?? 24;
  return {
    protocol: 51,
    etherType: 0,
    build(inner, around) {
      const header = new Uint8Array(length).fill(0xaa);
      header[0] = fields.nextHeader ?? inner[0]?.protocol ?? 59;
      header[1] = length / 4 - 2;
      return concatenate(header, buildInner(inner, around));
    },
  };
}

export interface FragmentFields {
  nextHeader?: number;
  /** In bytes, a multiple of 8. */
  offset?: number;
  more?: boolean;
  identification?: number;
}

/** The fragment header of IPv6. */
export function fragment(fields: FragmentFields = {}): Layer {
  return {
    protocol: 44,
    etherType: 0,
    build(inner, around) {
      const nextHeader = fields.nextHeader ?? inner[0]?.protocol ?? 59;
      return concatenate(
        Uint8Array.of(nextHeader, 0),
        be16((fields.offset ?? 0) | (fields.more ? 1 : 0)),
        be32(fields.identification ?? 1),
        buildInner(inner, around),
      );
    },
  };
}

// ---- transport layers

export interface TcpFields {
  sourcePort?: number;
  destinationPort?: number;
  sequence?: number;
  acknowledgement?: number;
  /** Letters of SAFRPU. */
  flags?: string;
  window?: number;
  /** A multiple of 4 bytes. */
  options?: Uint8Array;
  /** In words of 4 bytes. */
  headerWords?: number;
  /** `partial` leaves the pseudo-header's sum, as a virtual link does. */
  checksum?: number | 'partial';
}

const TCP_FLAG_LETTERS = 'FSRPAU';

/** "SA" → the flags byte. */
export function tcpFlagBits(letters: string): number {
  let bits = 0;
  for (const letter of letters) bits |= 1 << TCP_FLAG_LETTERS.indexOf(letter);
  return bits;
}

export function tcp(fields: TcpFields = {}): Layer {
  const options = fields.options ?? new Uint8Array(0);
  return {
    protocol: 6,
    etherType: 0,
    build(inner, around) {
      const whole = concatenate(new Uint8Array(20), options, buildInner(inner, around));
      putBe16(whole, 0, fields.sourcePort ?? 1000);
      putBe16(whole, 2, fields.destinationPort ?? 80);
      whole.set(be32(fields.sequence ?? 1), 4);
      whole.set(be32(fields.acknowledgement ?? 0), 8);
      whole[12] = (fields.headerWords ?? 5 + options.length / 4) << 4;
      whole[13] = tcpFlagBits(fields.flags ?? 'S');
      putBe16(whole, 14, fields.window ?? 65535);
      putTransportChecksum(whole, { at: 16, protocol: 6, given: fields.checksum, around });
      return whole;
    },
  };
}

export interface UdpFields {
  sourcePort?: number;
  destinationPort?: number;
  length?: number;
  checksum?: number | 'partial';
}

export function udp(fields: UdpFields = {}): Layer {
  return {
    protocol: 17,
    etherType: 0,
    build(inner, around) {
      const whole = concatenate(new Uint8Array(8), buildInner(inner, around));
      putBe16(whole, 0, fields.sourcePort ?? 1000);
      putBe16(whole, 2, fields.destinationPort ?? 53);
      putBe16(whole, 4, fields.length ?? whole.length);
      putTransportChecksum(whole, { at: 6, protocol: 17, given: fields.checksum, around });
      return whole;
    },
  };
}

interface TransportChecksum {
  at: number;
  protocol: number;
  given: number | 'partial' | undefined;
  around: Surroundings | undefined;
}

function putTransportChecksum(whole: Uint8Array, how: TransportChecksum): void {
  const { at, protocol, given, around } = how;
  if (typeof given === 'number') {
    putBe16(whole, at, given);
    return;
  }
  if (around === undefined) throw new Error('a transport header needs an IP header around it');
  const pseudo = pseudoHeader(around.source, around.destination, protocol, whole.length);
  if (given === 'partial') {
    putBe16(whole, at, wordSum(pseudo));
    return;
  }
  const checksum = internetChecksum(pseudo, whole);
  putBe16(whole, at, protocol === 17 && checksum === 0 ? 0xffff : checksum);
}

export interface IcmpFields {
  type?: number;
  code?: number;
  /** The four bytes behind the checksum. */
  rest?: number;
  checksum?: number;
}

/** ICMP; its quoted packet is the next layer: bytes() of a packet, or layers from ipv4() on. */
export function icmp(fields: IcmpFields = {}): Layer {
  return {
    protocol: 1,
    etherType: 0,
    build(inner) {
      const whole = icmpBytes(fields, 8, buildInner(inner, undefined));
      putBe16(whole, 2, fields.checksum ?? internetChecksum(whole));
      return whole;
    },
  };
}

/** ICMPv6: the same with the pseudo-header in the checksum. */
export function icmpv6(fields: IcmpFields = {}): Layer {
  return {
    protocol: 58,
    etherType: 0,
    build(inner, around) {
      const whole = icmpBytes(fields, 128, buildInner(inner, undefined));
      putTransportChecksum(whole, { at: 2, protocol: 58, given: fields.checksum, around });
      return whole;
    },
  };
}

function icmpBytes(fields: IcmpFields, echo: number, quoted: Uint8Array): Uint8Array {
  const start = Uint8Array.of(fields.type ?? echo, fields.code ?? 0, 0, 0);
  return concatenate(start, be32(fields.rest ?? 0), quoted);
}

export interface SctpFields {
  sourcePort?: number;
  destinationPort?: number;
  verificationTag?: number;
  checksum?: number;
}

export function sctp(fields: SctpFields = {}): Layer {
  return {
    protocol: 132,
    etherType: 0,
    build(inner, around) {
      const whole = concatenate(
        be16(fields.sourcePort ?? 1000),
        be16(fields.destinationPort ?? 9),
        be32(fields.verificationTag ?? 0),
        new Uint8Array(4),
        buildInner(inner, around),
      );
      // A CRC goes onto the wire with its lowest byte first.
      new DataView(whole.buffer).setUint32(8, fields.checksum ?? crc32c(whole), true);
      return whole;
    },
  };
}

export interface ChunkFields {
  type?: number;
  flags?: number;
  /** Header and value, without the padding. */
  length?: number;
  value?: Uint8Array;
}

/** One SCTP chunk, padded; further chunks follow as further layers. */
export function chunk(fields: ChunkFields = {}): Layer {
  const value = fields.value ?? new Uint8Array(0);
  return {
    protocol: 0,
    etherType: 0,
    build(inner, around) {
      return concatenate(
        Uint8Array.of(fields.type ?? 1, fields.flags ?? 0),
        be16(fields.length ?? 4 + value.length),
        value,
        new Uint8Array((4 - (value.length % 4)) % 4),
        buildInner(inner, around),
      );
    },
  };
}

// ---- tunnels

/** GRE (RFC 2784), 4 bytes, or 8 with a checksum. */
export function gre(fields: { checksum?: boolean } = {}): Layer {
  return {
    protocol: 47,
    etherType: 0,
    build(inner) {
      const type = be16(inner[0]?.etherType ?? 0);
      const body = buildInner(inner, undefined);
      if (!fields.checksum) return concatenate(be16(0), type, body);
      const whole = concatenate(be16(0x8000), type, be32(0), body);
      putBe16(whole, 4, internetChecksum(whole));
      return whole;
    },
  };
}

/** GUE behind udp(), 4 bytes, or 12 with remote checksum offload. */
export function gue(fields: { remote?: { start: number; field: number } } = {}): Layer {
  return {
    protocol: 0,
    etherType: 0,
    build(inner) {
      const protocol = inner[0]?.protocol ?? 0;
      const body = buildInner(inner, undefined);
      const { remote } = fields;
      if (remote === undefined) return concatenate(Uint8Array.of(0, protocol, 0, 0), body);
      return concatenate(
        Uint8Array.of(2, protocol, 0, 1),
        be32(0x80000000),
        be16(remote.start),
        be16(remote.field),
        body,
      );
    },
  };
}

// ---- payload and whole packets

/** A text, bytes, or so many bytes that count up. */
export function payload(content: string | Uint8Array | number): Layer {
  return {
    protocol: 0,
    etherType: 0,
    build(inner, around) {
      return concatenate(payloadBytes(content), buildInner(inner, around));
    },
  };
}

function payloadBytes(content: string | Uint8Array | number): Uint8Array {
  if (typeof content === 'string') return encoder.encode(content);
  if (typeof content === 'number') return Uint8Array.from({ length: content }, (_, i) => i);
  return content;
}

/**
 * Cuts the IPv4 packet of a frame into fragments of at most `size` bytes of data each (a multiple
 * of 8); each becomes a frame with the same Ethernet header. The packet has no options.
 */
export function fragmentIpv4(frame: Uint8Array, size: number): Uint8Array[] {
  const data = frame.subarray(34);
  const frames: Uint8Array[] = [];
  for (let offset = 0; offset < data.length; offset += size) {
    const part = data.subarray(offset, offset + size);
    const head = Uint8Array.from(frame.subarray(0, 34));
    const more = offset + size < data.length ? 0x2000 : 0;
    putBe16(head, 16, 20 + part.length);
    putBe16(head, 20, more | (offset >>> 3));
    putBe16(head, 24, 0);
    putBe16(head, 24, internetChecksum(head.subarray(14)));
    frames.push(concatenate(head, part));
  }
  return frames;
}

/** The same for the IPv6 packet of a frame without extension headers. */
export function fragmentIpv6(frame: Uint8Array, size: number, identification = 1): Uint8Array[] {
  const data = frame.subarray(54);
  const nextHeader = frame[20] ?? 0;
  const frames: Uint8Array[] = [];
  for (let offset = 0; offset < data.length; offset += size) {
    const part = data.subarray(offset, offset + size);
    const head = Uint8Array.from(frame.subarray(0, 54));
    putBe16(head, 18, 8 + part.length);
    head[20] = 44;
    const more = offset + size < data.length ? 1 : 0;
    const middle = concatenate(
      Uint8Array.of(nextHeader, 0),
      be16(offset | more),
      be32(identification),
    );
    frames.push(concatenate(head, middle, part));
  }
  return frames;
}
