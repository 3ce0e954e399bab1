/**
 * FTP's helper: what it reads and rewrites, and how later packets are shifted. A conversation keeps
 * the numbers of both ends; every packet that leaves must have a right checksum.
 */

import { beforeAll, describe, expect, test } from 'vitest';
import { describePacket } from '../../../host/replay/describe.ts';
import {
  addressBytes,
  internetChecksum,
  type Layer,
  payload,
  pseudoHeader,
  tcp,
} from '../../support/packet-builder.ts';
import { Random, seedFromEnvironment } from '../../support/random.ts';
import { debugModule, type PortName, SmallDirector } from '../../support/small-director.ts';

const SEED = seedFromEnvironment(2428);
const FTP = 21;
/** Bytes of an IPv4 header without options, and of an IPv6 header. */
const IP_BYTES = { 4: 20, 6: 40 };

interface World {
  readonly client: string;
  readonly virtual: string;
  readonly server: string;
}

const IPV4: World = { client: '198.51.100.1', virtual: '192.0.2.80', server: '10.0.0.12' };
const IPV6: World = {
  client: '2001:db8:ffff::1',
  virtual: '2001:db8:1::80',
  server: '2001:db8:2::12',
};

/** A TCP segment as it left the director. */
interface Segment {
  readonly sequence: number;
  readonly acknowledgement: number;
  readonly options: Uint8Array;
  readonly text: string;
}

function readSegment(bytes: Uint8Array): Segment {
  const family = bytes[0]! >>> 4 === 4 ? 4 : 6;
  const segment = bytes.subarray(IP_BYTES[family]);
  const [source, destination] =
    family === 4
      ? [bytes.subarray(12, 16), bytes.subarray(16, 20)]
      : [bytes.subarray(8, 24), bytes.subarray(24, 40)];
  const pseudo = pseudoHeader(source, destination, 6, segment.length);
  expect(internetChecksum(pseudo, segment), 'the segment has a right checksum').toBe(0);
  if (family === 4) expect(internetChecksum(bytes.subarray(0, 20))).toBe(0);
  const view = new DataView(segment.buffer, segment.byteOffset, segment.length);
  const headerLength = (segment[12]! >>> 4) * 4;
  return {
    sequence: view.getUint32(4),
    acknowledgement: view.getUint32(8),
    options: segment.subarray(20, headerLength),
    text: Buffer.from(segment.subarray(headerLength)).toString('latin1'),
  };
}

interface Extras {
  readonly sequence?: number;
  readonly acknowledgement?: number;
  readonly options?: Uint8Array;
  readonly checksum?: number;
}

/** A control connection with the numbers of both its ends, established. */
class Conversation {
  readonly director: SmallDirector;
  readonly #world: World;
  /** What the client sends next, what the server sends next, and what the client waits for. */
  client = 1000;
  server = 5000;
  awaited = 0;

  constructor(module: WebAssembly.Module, world: World) {
    const bracket = (address: string) => (address.includes(':') ? `[${address}]` : address);
    const service = `${bracket(world.virtual)}:${FTP}`;
    this.director = new SmallDirector(module, [
      `ipvsadm -A -t ${service} -s rr`,
      `ipvsadm -a -t ${service} -r ${bracket(world.server)}:${FTP} -m`,
    ]);
    this.#world = world;
    this.#transmit('cli', 'S', '', {});
    this.#transmit('srv', 'SA', '', {});
    this.command('');
  }

  /** The client says something; undefined when the packet was dropped. */
  command(text: string, extras: Extras = {}): Segment | undefined {
    return this.#transmit('cli', 'PA', text, extras);
  }

  /** The server answers. */
  answer(text: string, extras: Extras = {}): Segment | undefined {
    return this.#transmit('srv', 'PA', text, extras);
  }

  #transmit(port: PortName, flags: string, text: string, extras: Extras): Segment | undefined {
    const { client, virtual, server } = this.#world;
    const fromClient = port === 'cli';
    const number = fromClient ? this.client : this.server;
    const acknowledgement = fromClient ? this.awaited : this.client;
    const header = tcp({
      sourcePort: fromClient ? 1000 : FTP,
      destinationPort: fromClient ? FTP : 1000,
      flags,
      sequence: number,
      acknowledgement: flags === 'S' ? 0 : acknowledgement,
      ...extras,
    });
    const layers: Layer[] = [header, payload(Buffer.from(text, 'latin1'))];
    const ends = fromClient ? [client, virtual] : [server, client];
    const [sent] = this.director.send(port, ends[0]!, ends[1]!, ...layers);
    const length = text.length + (flags.includes('S') ? 1 : 0);
    if (extras.sequence === undefined) {
      if (fromClient) this.client += length;
      else this.server += length;
    }
    if (sent === undefined) return undefined;
    const segment = readSegment(sent);
    if (!fromClient && extras.sequence === undefined) {
      this.awaited = segment.sequence + segment.text.length + length - text.length;
    }
    return segment;
  }
}

let module: WebAssembly.Module;

beforeAll(async () => {
  module = await debugModule();
});

/** Entries in state LISTEN: client and virtual end. */
function listening(director: SmallDirector): string[] {
  return director
    .connections()
    .filter((line) => line.includes('LISTEN'))
    .map((line) => line.split(' ').slice(2).join(' '));
}

describe('passive mode', () => {
  test('PASV, its answer: the virtual address, and an entry for any client port', () => {
    const talk = new Conversation(module, IPV4);
    talk.command('PASV\r\n');
    expect(talk.answer('227 Entering (10,0,0,12,200,10).\r\n')?.text).toBe(
      '227 Entering (192,0,2,80,200,10).\r\n',
    );
    expect(listening(talk.director)).toEqual(['198.51.100.1:0 192.0.2.80:51210 10.0.0.12:51210']);
    const [sent] = talk.director.send(
      'cli',
      IPV4.client,
      IPV4.virtual,
      tcp({ sourcePort: 4321, destinationPort: 51_210, flags: 'S' }),
    );
    expect(describePacket(sent!)).toContain('198.51.100.1:4321 > 10.0.0.12:51210 S');
    expect(listening(talk.director)).toEqual([]);
  });

  test('a server that announces another address: the entry leads there', () => {
    const talk = new Conversation(module, IPV4);
    talk.command('PASV\r\n');
    expect(talk.answer('227 =10,0,0,13,0,99 \r\n')?.text).toBe('227 =192,0,2,80,0,99 \r\n');
    expect(listening(talk.director)).toEqual(['198.51.100.1:0 192.0.2.80:99 10.0.0.13:99']);
    const [sent] = talk.director.send(
      'cli',
      IPV4.client,
      IPV4.virtual,
      tcp({ sourcePort: 4321, destinationPort: 99, flags: 'S' }),
    );
    expect(describePacket(sent!)).toContain('198.51.100.1:4321 > 10.0.0.13:99 S');
  });

  test.each([IPV4, IPV6])('EPSV from $client: the answer names the port alone', (world) => {
    const talk = new Conversation(module, world);
    talk.command(`EPSV ${world === IPV4 ? 1 : 2}\r\n`);
    const family = world === IPV4 ? 1 : 2;
    const answer = talk.answer(`229 Entering (|${family}|${world.server}|40001|)\r\n`);
    expect(answer?.text).toBe('229 Entering (|||40001|)\r\n');
    expect(listening(talk.director)).toHaveLength(1);
    talk.command('EPSV\r\n');
    expect(talk.answer('229 Entering (!!!40002!)\r\n')?.text).toBe('229 Entering (|||40002|)\r\n');
    expect(listening(talk.director)).toHaveLength(2);
  });

  test('an answer that was not asked for, or is asked for in the other family, stays', () => {
    const talk = new Conversation(module, IPV4);
    const answer = '227 Entering (10,0,0,12,200,10).\r\n';
    expect(talk.answer(answer)?.text).toBe(answer);
    talk.command('EPSV 2\r\n');
    expect(talk.answer('229 (|||40001|)\r\n')?.text).toBe('229 (|||40001|)\r\n');
    const six = new Conversation(module, IPV6);
    six.command('PASV\r\n');
    expect(six.answer(answer)?.text).toBe(answer);
    expect([...listening(talk.director), ...listening(six.director)]).toEqual([]);
  });

  test('the control connection outlives its timer while it has a data connection', () => {
    const talk = new Conversation(module, IPV4);
    talk.command('PASV\r\n');
    talk.answer('227 (10,0,0,12,200,10)\r\n');
    talk.director.sleep(119);
    expect(listening(talk.director)).toHaveLength(1);
    talk.director.sleep(12);
    expect(talk.director.connections()).toHaveLength(1);
    talk.command('PORT 198,51,100,1,19,136\r\n');
    expect(listening(talk.director)).toEqual(['198.51.100.1:5000 192.0.2.80:20 10.0.0.12:20']);
  });
});

describe('numbers after an answer that changed its length', () => {
  test('from the server they are shifted, from the client shifted back', () => {
    const talk = new Conversation(module, IPV4);
    talk.command('PASV\r\n');
    const first = talk.answer('227 (10,0,0,12,200,10)\r\n')!;
    expect(first.sequence).toBe(5001);
    expect(talk.answer('200\r\n')!.sequence).toBe(talk.server - 5 + 1);
    expect(talk.command('NOOP\r\n')!.acknowledgement).toBe(talk.server);
    expect(talk.command('NOOP\r\n', { acknowledgement: 5001 })!.acknowledgement).toBe(5001);
  });

  test('shifts add up, and what is sent again keeps the shift that it had', () => {
    const talk = new Conversation(module, IPV4);
    talk.command('PASV\r\n');
    talk.answer('227 (10,0,0,12,200,10)\r\n');
    const again = talk.server;
    talk.answer('226\r\n');
    talk.command('PASV\r\n');
    talk.answer('227 (203,0,113,200,1,1)\r\n');
    expect(talk.answer('226\r\n')!.sequence).toBe(talk.server - 5 + 1 - 3);
    expect(talk.answer('226\r\n', { sequence: again })!.sequence).toBe(again + 1);
  });

  test('an answer that comes again is no answer any more, as with IPVS', () => {
    const talk = new Conversation(module, IPV4);
    talk.command('PASV\r\n');
    const sequence = talk.server;
    const answer = '227 (10,0,0,12,200,10)\r\n';
    talk.answer(answer);
    expect(talk.answer(answer, { sequence })).toMatchObject({ sequence, text: answer });
  });

  test('selective acknowledgements are shifted back too', () => {
    const talk = new Conversation(module, IPV4);
    talk.command('PASV\r\n');
    talk.answer('227 (10,0,0,12,200,10)\r\n');
    talk.answer('226\r\n');
    const edges = [talk.awaited - 5, talk.awaited];
    const options = new Uint8Array(12);
    options.set([1, 1, 5, 10]);
    const view = new DataView(options.buffer);
    view.setUint32(4, edges[0]!);
    view.setUint32(8, edges[1]!);
    const seen = talk.command('', { options, acknowledgement: 5001 })!.options;
    const sent = new DataView(seen.buffer, seen.byteOffset, seen.length);
    expect([sent.getUint32(4), sent.getUint32(8)]).toEqual(edges.map((edge) => edge - 1));
    expect(talk.command('', { options: Uint8Array.of(5, 99, 0, 0) })).toBeUndefined();
  });
});

describe('what the helper lets alone', () => {
  test('a damaged packet is dropped, whoever sent it', () => {
    const talk = new Conversation(module, IPV4);
    expect(talk.command('PASV\r\n', { checksum: 1 })).toBeUndefined();
    expect(talk.answer('227 (10,0,0,12,200,10)\r\n', { checksum: 1 })).toBeUndefined();
    expect(listening(talk.director)).toEqual([]);
  });

  test('a connection to another port', () => {
    const director = new SmallDirector(module, [
      'ipvsadm -A -t 192.0.2.80:2121 -s rr',
      'ipvsadm -a -t 192.0.2.80:2121 -r 10.0.0.12:21 -m',
    ]);
    const segment = (flags: string) => tcp({ sourcePort: 1000, destinationPort: 2121, flags });
    director.send('cli', IPV4.client, IPV4.virtual, segment('S'));
    director.send('cli', IPV4.client, IPV4.virtual, segment('A'));
    const port = payload('PORT 198,51,100,1,19,136\r\n');
    director.send('cli', IPV4.client, IPV4.virtual, segment('PA'), port);
    expect(listening(director)).toEqual([]);
  });
});

// ---- against a slow twin

/** The address and port that a PORT or EPRT command names, read by regular expressions. */
function announcedByTwin(text: string, family: 4 | 6): [string, number] | undefined {
  const plain = /^port[^0-9 ]* *(\d*),(\d*),(\d*),(\d*),(\d*),(\d*)[^0-9]/is.exec(text);
  if (family === 4 && plain !== null && /^port(?=\d)|^port[^\d]* (?=[\d,])/i.test(text)) {
    const [a, b, c, d, high, low] = plain.slice(1).map((digits) => Number(digits || 0) & 255);
    return [[a, b, c, d].join('.'), (high! << 8) | low!];
  }
  const long = /^eprt[^ ]* +([!-~])([12])\1(.*?)\1(\d+)\1/is.exec(text);
  if (long === null || Number(long[2]) !== (family === 4 ? 1 : 2)) return undefined;
  const port = Number(long[4]) & 0xffff;
  const address = family === 4 ? plainIpv4(long[3]!) : plainIpv6(long[3]!);
  return address === undefined || port === 0 ? undefined : [address, port];
}

function plainIpv4(text: string): string | undefined {
  const numbers = /^(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text)?.slice(1).map(Number);
  if (numbers === undefined || numbers.some((number) => number > 255)) return undefined;
  return numbers.join('.');
}

function plainIpv6(text: string): string | undefined {
  try {
    return new URL(`http://[${text}]/`).hostname.slice(1, -1);
  } catch {
    return undefined;
  }
}

function randomIpv4(random: Random): string {
  const part = () => random.pick(['0', '9', '10', '099', '198', '255', '256', '1000']);
  return Array.from({ length: random.oneIn(9) ? 3 : 4 }, part).join('.');
}

function randomIpv6(random: Random): string {
  const groups = Array.from({ length: random.between(1, 9) }, () =>
    random.pick(['0', '1', 'db8', 'FFFF', '2001', 'ab']),
  );
  const gap = random.below(groups.length + 1);
  if (random.oneIn(3)) return groups.join(':');
  return `${groups.slice(0, gap).join(':')}::${groups.slice(gap).join(':')}`;
}

/** The client's ends of entries in state LISTEN: address and port in hexadecimal digits. */
function expectedClients(director: SmallDirector): string[] {
  const [, ...lines] = director.run('cat /proc/net/ip_vs_conn').trimEnd().split('\n');
  return lines
    .map((line) => line.split(/ +/))
    .filter((words) => words[7] === 'LISTEN')
    .map(([, address, port]) => `${address!.replaceAll(':', '')} ${port}`.toUpperCase());
}

function inHex(address: string, port: number): string {
  const digits = `${Buffer.from(addressBytes(address)).toString('hex')} `;
  return (digits + port.toString(16).padStart(4, '0')).toUpperCase();
}

test.each([
  [4, IPV4],
  [6, IPV6],
] as const)(
  `random commands over IPv%i are read as regular expressions read them (seed ${SEED})`,
  (family, world) => {
    const random = new Random(SEED + family);
    for (let round = 0; round < 300; round++) {
      const text = randomCommand(random, family);
      const talk = new Conversation(module, world);
      talk.command(text);
      const wanted = announcedByTwin(text, family);
      const seen = expectedClients(talk.director);
      expect(seen, JSON.stringify(text)).toEqual(wanted === undefined ? [] : [inHex(...wanted)]);
    }
  },
);

function randomCommand(random: Random, family: 4 | 6): string {
  const end = random.pick(['\r\n', '\r\n', '\r\n', '\n', ' x', '']);
  const port = random.between(1, 65_535);
  if (family === 4 && random.oneIn(2)) {
    const [high, low] = [port >> 8, port & 255];
    const numbers = `198,51,100,${random.below(256)},${high},${low}`;
    return `${random.pick(['PORT ', 'port ', 'PORT  ', 'PORT', 'PRT '])}${numbers}${end}`;
  }
  const mark = random.pick(['|', '|', '!', '~', ' ', '\x01']);
  const number = random.pick(['1', '2', family === 4 ? '1' : '2', '3']);
  const address = family === 4 ? randomIpv4(random) : randomIpv6(random);
  const word = random.pick(['EPRT ', 'eprt ', 'Eprt  ', 'EPRT']);
  return `${word}${mark}${number}${mark}${address}${mark}${port}${mark}${end}`;
}
