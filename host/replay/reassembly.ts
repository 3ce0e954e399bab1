// Fragments on their way to the director's own stack. Only what arrives complete is delivered;
// nothing here times out, for a replay ends before that matters to memory.

import {
  concatenate,
  type IpHeader,
  internetChecksum,
  readIpHeader,
  toHex,
  writeU16,
} from './wire.ts';

/** Datagrams that may be incomplete at once; the oldest goes first. */
const QUEUES_MAX = 64;
const IPV6_HEADER = 40;

interface Part {
  readonly offset: number;
  readonly data: Uint8Array;
}

interface Queue {
  readonly parts: Part[];
  /** Header bytes of the first fragment. */
  head: Uint8Array | undefined;
  /** Bytes of the datagram, known from its last fragment. */
  total: number | undefined;
}

/** Puts the fragments of datagrams together. */
export class Reassembly {
  readonly #queues = new Map<string, Queue>();

  /**
   * Takes an IP packet.
   * @returns the packet itself when it is no fragment, the whole datagram when this was the
   * fragment that was missing, or undefined
   */
  add(packet: Uint8Array): Uint8Array | undefined {
    const header = readIpHeader(packet);
    if (header === undefined) return undefined;
    if (header.fragmentOffset === 0 && !header.moreFragments) return packet;
    const key = [header.source, header.destination].map(toHex).join(' ');
    const name = `${key} ${header.protocol} ${header.identification}`;
    const queue = this.#queue(name);
    const data = packet.subarray(header.transport, Math.min(header.length, packet.length));
    queue.parts.push({ offset: header.fragmentOffset, data });
    if (header.fragmentOffset === 0) queue.head = packet.subarray(0, header.transport);
    if (!header.moreFragments) queue.total = header.fragmentOffset + data.length;
    const whole = join(queue, header);
    if (whole !== undefined) this.#queues.delete(name);
    return whole;
  }

  #queue(name: string): Queue {
    const known = this.#queues.get(name);
    if (known !== undefined) return known;
    if (this.#queues.size >= QUEUES_MAX) {
      const [oldest] = this.#queues.keys();
      this.#queues.delete(oldest!);
    }
    const queue: Queue = { parts: [], head: undefined, total: undefined };
    this.#queues.set(name, queue);
    return queue;
  }
}

function join({ parts, head, total }: Queue, header: IpHeader): Uint8Array | undefined {
  if (head === undefined || total === undefined) return undefined;
  const body = new Uint8Array(total);
  let covered = 0;
  for (const { offset, data } of [...parts].sort((a, b) => a.offset - b.offset)) {
    if (offset > covered || offset + data.length > total) return undefined;
    body.set(data, offset);
    covered = Math.max(covered, offset + data.length);
  }
  if (covered < total) return undefined;
  return header.family === 4 ? wholeIpv4(head, body) : wholeIpv6(head, body, header.protocol);
}

function wholeIpv4(head: Uint8Array, body: Uint8Array): Uint8Array {
  const header = new Uint8Array(head);
  writeU16(header, 2, header.length + body.length);
  writeU16(header, 6, 0);
  writeU16(header, 10, 0);
  writeU16(header, 10, internetChecksum(header));
  return concatenate(header, body);
}

function wholeIpv6(head: Uint8Array, body: Uint8Array, protocol: number): Uint8Array {
  // Without the fragment header.
  const header = new Uint8Array(head.subarray(0, IPV6_HEADER));
  writeU16(header, 4, body.length);
  header[6] = protocol;
  return concatenate(header, body);
}
