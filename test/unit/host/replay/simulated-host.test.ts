import { describe, expect, it } from 'vitest';
import { addressBytes } from '../../../../host/config/address.ts';
import { describeFrame } from '../../../../host/replay/describe.ts';
import { Network } from '../../../../host/replay/network.ts';
import { type PortFrame, SimulatedHost } from '../../../../host/replay/simulated-host.ts';
import { splitPacket } from '../../../../host/replay/split-packet.ts';
import {
  buildFrame,
  buildPacket,
  completeChecksum,
  concatenate,
  fromHex,
  internetChecksum,
  parseMac,
  writeU16,
  writeU32,
} from '../../../../host/replay/wire.ts';
import { applyIpLines } from '../../../../host/replay/world-from-ip.ts';

const LINES = [
  'link add cli address 02:00:00:00:00:01 type veth peer name cli netns peers',
  'link add srv address 02:00:00:00:01:01 type veth peer name srv netns peers',
  'link set cli up',
  'link set srv up',
  'addr add 192.0.2.1/24 dev cli',
  'addr add 10.0.0.1/24 dev srv',
  'addr add 2001:db8:1::1/64 dev cli',
  'addr add 2001:db8:2::1/64 dev srv',
  'neigh add 192.0.2.254 lladdr 02:00:00:00:00:02 dev cli',
  'neigh add 2001:db8:1::fe lladdr 02:00:00:00:00:02 dev cli',
  'neigh add 10.0.0.11 lladdr 02:00:00:00:02:0b dev srv',
  'route add default via 192.0.2.254',
  'route add default via 2001:db8:1::fe',
  'addr add 192.0.2.80 dev cli',
  'addr add 2001:db8:1::80 dev cli',
];
const CLIENT = '198.51.100.1';
const VIP = '192.0.2.80';
const CLIENT6 = '2001:db8:c::1';
const VIP6 = '2001:db8:1::80';
const OUR_MAC = parseMac('02:00:00:00:00:01')!;
const CLIENT_MAC = parseMac('02:00:00:00:00:02')!;

interface Overrides {
  readonly hopLimit?: number;
  readonly trafficClass?: number;
  readonly dontFragment?: boolean;
  readonly spoilt?: boolean;
}

function packet(
  from: string,
  to: string,
  protocol: number,
  segment: Uint8Array,
  over: Overrides = {},
): Uint8Array {
  const fields = {
    source: addressBytes(from),
    destination: addressBytes(to),
    protocol,
    trafficClass: over.trafficClass ?? 0,
    identification: 7,
    dontFragment: over.dontFragment ?? true,
    hopLimit: over.hopLimit ?? 64,
  };
  const at = { 6: 16, 17: 6, 58: 2 }[protocol];
  if (at !== undefined) completeChecksum(segment, at, fields);
  if (protocol === 1) writeU16(segment, 2, internetChecksum(segment));
  if (over.spoilt) segment[at ?? 2] ^= 0x55;
  return buildPacket(fields, segment);
}

function tcp(flags: number, data = 0): Uint8Array {
  const segment = new Uint8Array(20 + data);
  writeU16(segment, 0, 1000);
  writeU16(segment, 2, 80);
  writeU32(segment, 4, 1000);
  writeU32(segment, 8, flags & 16 ? 5000 : 0);
  segment[12] = 0x50;
  segment[13] = flags;
  return segment;
}

function udp(length = 8): Uint8Array {
  const segment = new Uint8Array(8 + length);
  writeU16(segment, 0, 1000);
  writeU16(segment, 2, 53);
  writeU16(segment, 4, segment.length);
  return segment;
}

function echo(type: number): Uint8Array {
  return Uint8Array.of(type, 0, 0, 0, 0x12, 0x34, 0, 1, 112, 105, 110, 103);
}

class Stage {
  /** Frames that the host sends by way of the data plane. */
  readonly #own: Uint8Array[] = [];
  readonly network = new Network();
  readonly host: SimulatedHost;
  mark = 0;
  changes = 0;

  constructor() {
    applyIpLines(this.network, LINES, (index, problem) => {
      throw new Error(`${LINES[index]}: ${problem}`);
    });
    this.host = new SimulatedHost({
      network: this.network,
      markOf: () => this.mark,
      neighbourChanged: () => {
        this.changes++;
      },
      sendOwn: (frame) => this.#own.push(frame),
    });
    this.host.advance(1000);
  }

  /** Gives a packet to the host and says what it sends, with the ports. */
  answer(bytes: Uint8Array, port = 'cli'): string[] {
    const type = bytes[0] >>> 4 === 4 ? 0x0800 : 0x86dd;
    this.host.receive(port, buildFrame(OUR_MAC, CLIENT_MAC, type, bytes));
    return this.taken();
  }

  /** All that was sent; what goes through the data plane leaves by the port whose address it has. */
  #take(): readonly PortFrame[] {
    const own = this.#own.splice(0).map((frame) => {
      const from = Buffer.from(frame.subarray(6, 12));
      const port = this.network.ports().find(({ mac }) => from.equals(mac))!.name;
      return { port, frame };
    });
    return [...this.host.take(), ...own];
  }

  taken(): string[] {
    // The identification is of the host's own choosing.
    return this.#take().map(
      ({ port, frame }) => `${port} ${describeFrame(frame).replaceAll(/ id=4\d{4}/g, '')}`,
    );
  }
}

describe('SimulatedHost: packets for the director', () => {
  it.each([
    ['SYN', 2, 0, `RA seq=0 ack=1001 len=0`],
    ['ACK', 16, 0, `R seq=5000 ack=0 len=0`],
    ['FIN', 1, 0, `RA seq=0 ack=1001 len=0`],
    ['data without ACK', 8, 10, `RA seq=0 ack=1010 len=0`],
  ])('%s to a closed port: is reset', (_what, flags, data, answer) => {
    expect(new Stage().answer(packet(CLIENT, VIP, 6, tcp(flags, data)))).toEqual([
      `cli tcp ${VIP}:80 > ${CLIENT}:1000 ${answer} ttl=64 iplen=40 id=0 df`,
    ]);
  });

  it.each([
    ['RST', packet(CLIENT, VIP, 6, tcp(4))],
    ['a wrong checksum', packet(CLIENT, VIP, 6, tcp(2), { spoilt: true })],
    ['UDP with a wrong checksum', packet(CLIENT, VIP, 17, udp(), { spoilt: true })],
    ['an echo reply', packet(CLIENT, VIP, 1, echo(0))],
    ['one of its own addresses as source', packet('10.0.0.1', VIP, 6, tcp(2))],
    ['a group address', packet(CLIENT, '224.0.0.81', 17, udp())],
  ])('%s: no answer', (_what, bytes) => {
    expect(new Stage().answer(bytes)).toEqual([]);
  });

  it('the bits for congestion are not taken over into a reset', () => {
    const bytes = packet(CLIENT, VIP, 6, tcp(2), { trafficClass: 0x13 });
    expect(new Stage().answer(bytes)[0]).toMatch(/tos=0x10$/);
  });

  it('UDP to a closed port: port unreachable, quoting up to 548 bytes', () => {
    const [answer] = new Stage().answer(packet(CLIENT, VIP, 17, udp(600)));
    expect(answer).toBe(
      `cli icmp ${VIP} > ${CLIENT} type=3 code=3 rest=00000000 ttl=64 iplen=576 tos=0xc0 about ` +
        `[udp ${CLIENT}:1000 > ${VIP}:53 len=520 ttl=64 iplen=628 id=7 df]`,
    );
  });

  it('UDP in fragments: the error is about the whole datagram', () => {
    const stage = new Stage();
    const whole = packet(CLIENT, VIP, 17, udp(3000), { dontFragment: false });
    const pieces = splitPacket(whole, 1500);
    expect(pieces.length).toBe(3);
    expect(pieces.slice(0, 2).flatMap((piece) => stage.answer(piece))).toEqual([]);
    expect(stage.answer(pieces[2])[0]).toMatch(/about \[udp .* len=520 ttl=64 iplen=3028 id=7\]$/);
  });

  it('an unknown protocol: protocol unreachable', () => {
    expect(new Stage().answer(packet(CLIENT, VIP, 132, new Uint8Array(20)))[0]).toMatch(
      /type=3 code=2/,
    );
  });

  it('echo request: the same back', () => {
    expect(new Stage().answer(packet(CLIENT, VIP, 1, echo(8)))).toEqual([
      `cli icmp ${VIP} > ${CLIENT} type=0 code=0 rest=12340001 ttl=64 iplen=32`,
    ]);
  });

  it('delivered for its mark alone: no answer, for the source would not be ours', () => {
    const stage = new Stage();
    stage.mark = 7;
    stage.network.addRule({ mark: 7, table: 100 });
    stage.network.addRoute({
      table: 100,
      prefix: new Uint8Array(4),
      prefixLength: 0,
      kind: 'local',
      link: stage.network.link('lo')!,
    });
    expect(stage.answer(packet(CLIENT, '203.0.113.9', 6, tcp(2)))).toEqual([]);
    expect(stage.answer(packet(CLIENT, VIP, 6, tcp(2))).length).toBe(1);
  });

  it('IPv6: resets, port unreachable, echo', () => {
    const stage = new Stage();
    expect(stage.answer(packet(CLIENT6, VIP6, 6, tcp(2)))).toEqual([
      `cli tcp [${VIP6}]:80 > [${CLIENT6}]:1000 RA seq=0 ack=1001 len=0 ttl=64 iplen=60`,
    ]);
    expect(stage.answer(packet(CLIENT6, VIP6, 17, udp()))[0]).toMatch(
      /^cli icmp6 .* type=1 code=4 .* iplen=104 about/,
    );
    expect(stage.answer(packet(CLIENT6, VIP6, 58, echo(128)))[0]).toMatch(
      /type=129 code=0 rest=12340001/,
    );
  });
});

describe('SimulatedHost: packets for others', () => {
  it('a known neighbour: forwarded with a hop less', () => {
    expect(new Stage().answer(packet(CLIENT, '10.0.0.11', 6, tcp(2)))).toEqual([
      `srv tcp ${CLIENT}:1000 > 10.0.0.11:80 S seq=1000 ack=0 len=0 ttl=63 iplen=40 id=7 df`,
    ]);
  });

  it('no hops left: time exceeded, from the address towards the sender', () => {
    const [answer] = new Stage().answer(packet(CLIENT, '10.0.0.11', 6, tcp(2), { hopLimit: 1 }));
    expect(answer).toMatch(/^cli icmp 192\.0\.2\.1 > 198\.51\.100\.1 type=11 code=0 /);
  });

  it('too big: fragmentation needed with DF, pieces without', () => {
    const stage = new Stage();
    stage.network.link('srv')!.mtu = 1000;
    const big = packet(CLIENT, '10.0.0.11', 17, udp(1200));
    expect(stage.answer(big)[0]).toMatch(/type=3 code=4 rest=000003e8/);
    const free = packet(CLIENT, '10.0.0.11', 17, udp(1200), { dontFragment: false });
    expect(stage.answer(free).map((text) => text.replace(/.*(iplen=.*)/, '$1'))).toEqual([
      'iplen=996 id=7 frag=0+',
      'iplen=252 id=7 frag=976',
    ]);
  });

  it('an unknown neighbour: asked for three times a second apart, then host unreachable', () => {
    const stage = new Stage();
    const request = 'srv ethertype=0806 00010800060400010200000001010a0000010000000000000a000063';
    expect(stage.answer(packet(CLIENT, '10.0.0.99', 6, tcp(2)))).toEqual([request]);
    const seen: [number, string][] = [];
    for (let tick = 1001; tick < 1500; tick++) {
      stage.host.advance(tick);
      for (const text of stage.taken()) seen.push([tick, text]);
    }
    // Linux's timers are late by up to an eighth.
    expect(seen.map(([tick, text]) => [tick, text.slice(0, 12)])).toEqual([
      [1104, 'srv ethertyp'],
      [1208, 'srv ethertyp'],
      [1312, 'cli icmp 192'],
    ]);
    expect(seen[2][1]).toMatch(/type=3 code=1 .* about \[tcp .* ttl=63 /);
    expect(stage.host.nextDue()).toBe(undefined);
  });

  it('an answer to the question: what waited is sent, and the neighbour is known', () => {
    const stage = new Stage();
    stage.answer(packet(CLIENT, '10.0.0.99', 6, tcp(2)));
    const reply = fromHex(
      '0001080006040002020000000263 0a000063 020000000101 0a000001'.replaceAll(' ', ''),
    )!;
    const ours = parseMac('02:00:00:00:01:01')!;
    stage.host.receive('srv', buildFrame(ours, parseMac('02:00:00:00:02:63')!, 0x0806, reply));
    expect(stage.taken()[0]).toMatch(/^srv tcp .* > 10\.0\.0\.99:80 S .* ttl=63/);
    expect(stage.changes).toBe(1);
    expect(stage.answer(packet(CLIENT, '10.0.0.99', 6, tcp(2))).length).toBe(1);
  });
});

describe('SimulatedHost: neighbours', () => {
  it('an ARP request for one of its addresses: is answered', () => {
    const stage = new Stage();
    const sender = concatenate(CLIENT_MAC, addressBytes('192.0.2.254'));
    const request = concatenate(
      Uint8Array.of(0, 1, 8, 0, 6, 4, 0, 1),
      sender,
      new Uint8Array(6),
      addressBytes(VIP),
    );
    stage.host.receive('cli', buildFrame(new Uint8Array(6).fill(255), CLIENT_MAC, 0x0806, request));
    expect(stage.taken()).toEqual([
      'cli ethertype=0806 0001080006040002020000000001c0000250020000000002c00002fe',
    ]);
  });

  it('a neighbour solicitation: is answered with an advertisement', () => {
    const stage = new Stage();
    const message = concatenate(
      Uint8Array.of(135, 0, 0, 0, 0, 0, 0, 0),
      addressBytes(VIP6),
      Uint8Array.of(1, 1),
      CLIENT_MAC,
    );
    const [answer] = stage.answer(packet('2001:db8:1::fe', VIP6, 58, message, { hopLimit: 255 }));
    expect(answer).toMatch(/type=136 code=0 rest=e0000000 ttl=255 iplen=72$/);
  });

  it('a frame for another MAC address: is not ours', () => {
    const stage = new Stage();
    const bytes = packet(CLIENT, VIP, 6, tcp(2));
    stage.host.receive('cli', buildFrame(CLIENT_MAC, CLIENT_MAC, 0x0800, bytes));
    expect(stage.taken()).toEqual([]);
  });
});
