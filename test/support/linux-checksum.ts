/**
 * What Linux 6.1 on x86-64 computes for a checksum, told from include/net/checksum.h,
 * include/net/ip_vs.h and arch/x86: 32-bit (or 64-bit) ones' complement sums with the carry added
 * back in, so that also its forms of zero come out. Fields are numbers as a little-endian load
 * gives them, which is how that kernel holds __be16, __be32 and __sum16.
 */

const U32 = 0xffffffffn;
const U64 = 0xffffffffffffffffn;

/** ~x on 32 bits. */
function not32(value: number): number {
  return ~value >>> 0;
}

/** csum_add: 32 bits, end-around carry. */
function csumAdd(sum: number, addend: number): number {
  const whole = BigInt(sum) + BigInt(addend);
  return Number(whole > U32 ? (whole & U32) + 1n : whole);
}

/** csum_fold: folded and complemented. */
function csumFold(sum: number): number {
  let folded = (sum & 0xffff) + (sum >>> 16);
  folded = (folded & 0xffff) + (folded >>> 16);
  return ~folded & 0xffff;
}

/** csum_partial over a buffer on an even address. */
export function csumPartial(bytes: Uint8Array, sum: number): number {
  let wide = BigInt(sum);
  for (let at = 0; at < bytes.length; at += 8) {
    let word = 0n;
    for (let i = Math.min(7, bytes.length - at - 1); i >= 0; i--) {
      word = (word << 8n) | BigInt(bytes[at + i] ?? 0);
    }
    wide += word;
    if (wide > U64) wide = (wide & U64) + 1n;
  }
  return csumAdd(Number(wide >> 32n), Number(wide & U32));
}

/** Words as they lie in memory. */
function words(size: 2 | 4, ...values: number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * size);
  const view = new DataView(bytes.buffer);
  for (const [index, value] of values.entries()) {
    if (size === 2) view.setUint16(index * 2, value & 0xffff, true);
    else view.setUint32(index * 4, value >>> 0, true);
  }
  return bytes;
}

/** ip_vs_check_diff2. */
function checkDiff2(oldBe: number, newBe: number, sum: number): number {
  return csumPartial(words(2, ~oldBe, newBe), sum);
}

/** ip_vs_check_diff4. */
function checkDiff4(oldBe: number, newBe: number, sum: number): number {
  return csumPartial(words(4, ~oldBe, newBe), sum);
}

/** ip_vs_check_diff16; the order of the words does not matter to the sum. */
function checkDiff16(oldBytes: Uint8Array, newBytes: Uint8Array, sum: number): number {
  const inverted = oldBytes.map((byte) => ~byte);
  return csumPartial(Uint8Array.of(...inverted, ...newBytes), sum);
}

/** A rewrite of one end: the address as a loaded word, or as 16 bytes, and the port. */
export interface Rewrite {
  oldAddress: number | Uint8Array;
  newAddress: number | Uint8Array;
  oldPort: number;
  newPort: number;
}

/** tcp_fast_csum_update of IPVS. */
export function tcpFastUpdate(check: number, rewrite: Rewrite): number {
  const { oldAddress, newAddress, oldPort, newPort } = rewrite;
  const ports = checkDiff2(oldPort, newPort, not32(check));
  if (typeof oldAddress === 'number' && typeof newAddress === 'number') {
    return csumFold(checkDiff4(oldAddress, newAddress, ports));
  }
  if (typeof oldAddress === 'number' || typeof newAddress === 'number') {
    throw new Error('a rewrite keeps the address family');
  }
  return csumFold(checkDiff16(oldAddress, newAddress, ports));
}

/** udp_fast_csum_update of IPVS; its caller has seen that there is a checksum. */
export function udpFastUpdate(check: number, rewrite: Rewrite): number {
  return tcpFastUpdate(check, rewrite) || 0xffff;
}

/** csum_replace2. */
export function csumReplace2(check: number, oldBe: number, newBe: number): number {
  const add16 = (sum: number, addend: number) => {
    const whole = sum + addend;
    return whole > 0xffff ? (whole & 0xffff) + 1 : whole;
  };
  return ~add16(add16(~check & 0xffff, ~oldBe & 0xffff), newBe) & 0xffff;
}

/** csum_replace4. */
export function csumReplace4(check: number, oldBe: number, newBe: number): number {
  return csumFold(csumAdd(csumAdd(not32(check), not32(oldBe)), newBe));
}

/** ip_decrease_ttl: the new checksum. */
export function decreaseTtlChecksum(check: number): number {
  const sum = check + 1;
  return (sum + (sum >= 0xffff ? 1 : 0)) & 0xffff;
}

/** ip_fast_csum, ip_send_check and ip_compute_csum: over bytes whose field is 0. */
export function ipComputeChecksum(bytes: Uint8Array): number {
  return csumFold(csumPartial(bytes, 0));
}

/** csum_tcpudp_magic over csum_partial of the transport bytes, whose field is 0. */
export function tcpudpMagic(
  sourceBe: number,
  destinationBe: number,
  protocol: number,
  transport: Uint8Array,
): number {
  const sum = csumPartial(transport, 0);
  const withAddresses = csumAdd(csumAdd(sum, destinationBe), sourceBe);
  return csumFold(csumAdd(withAddresses, (transport.length + protocol) << 8));
}

/** csum_ipv6_magic in the same way. */
export function ipv6Magic(
  source: Uint8Array,
  destination: Uint8Array,
  protocol: number,
  transport: Uint8Array,
): number {
  const addresses = csumPartial(Uint8Array.of(...source, ...destination), 0);
  const sum = csumAdd(csumPartial(transport, 0), addresses);
  const { length } = transport;
  const lengthBe = ((length & 0xff) << 24) | ((length & 0xff00) << 8);
  return csumFold(csumAdd(csumAdd(sum, lengthBe >>> 0), (protocol << 24) >>> 0));
}

/** skb_checksum_help: the field holds the pseudo-header's sum and is counted with the rest. */
export function checksumHelp(transport: Uint8Array): number {
  return csumFold(csumPartial(transport, 0)) || 0xffff;
}
