// The tap in the data plane and the host's end of it: what is copied, for whom, and what is lost.

import { beforeAll, describe, expect, test } from 'vitest';
import {
  CAPTURE_DATA_MAX,
  CAPTURE_SLOTS,
  CONTROL_CAPTURE_PACKETS,
} from '../../../../assembly/shared/layout.ts';
import {
  type CaptureFilter,
  type CaptureRecord,
  CaptureRings,
} from '../../../../host/capture/capture-rings.ts';
import { COUNTER_NAMES } from '../../../../host/stats/counter-names.ts';
import {
  ethernet,
  fragmentIpv4,
  icmp,
  ipv4,
  type Layer,
  packet,
  payload,
  tcp,
  udp,
} from '../../../support/packet-builder.ts';
import { Random, seedFromEnvironment } from '../../../support/random.ts';
import { debugModule, SmallDirector } from '../../../support/small-director.ts';

const SEED = seedFromEnvironment(1120);
const CLIENT = '198.51.100.1';
const VIRTUAL = '192.0.2.80';
const SERVER = '10.0.0.12';
const ALL: CaptureFilter = { service: 0, direction: 'both', snapLength: 65_535 };
const MAC = '02:00:00:00:00:01';

describe('capture', () => {
  let module: WebAssembly.Module;

  beforeAll(async () => {
    module = await debugModule();
  });

  function start(filter: Partial<CaptureFilter> = {}, workers = 1) {
    const commands = [
      `ipvsadm -A -t ${VIRTUAL}:80 -s rr`,
      `ipvsadm -a -t ${VIRTUAL}:80 -r ${SERVER}:80 -m`,
      `ipvsadm -A -u ${VIRTUAL}:53 -s rr`,
      `ipvsadm -a -u ${VIRTUAL}:53 -r ${SERVER}:53 -m`,
      `ipvsadm -A -t ${VIRTUAL}:81 -s rr`,
    ];
    const director = new SmallDirector(module, commands, workers);
    const rings = new CaptureRings(director.director.memory);
    rings.begin({ ...ALL, ...filter });
    return { director, rings };
  }

  const syn = (port = 80, from = 1024): Layer[] => [
    tcp({ sourcePort: from, destinationPort: port, flags: 'S' }),
  ];
  const words = ({ kind, direction, verdict, port }: CaptureRecord) =>
    `${kind} ${direction} ${verdict} port ${port}`;

  test('a packet and its answer: each as it came and as it left, byte for byte', () => {
    const { director, rings } = start();
    const question = packet(
      ethernet({ destination: MAC }),
      ipv4({ source: CLIENT, destination: VIRTUAL }),
      ...syn(),
    );
    const [toServer] = director.receive('cli', question);
    const answer = tcp({ sourcePort: 80, destinationPort: 1024, flags: 'SA' });
    const [toClient] = director.send('srv', SERVER, CLIENT, answer);
    const records = rings.drain();
    expect(records.map(words)).toEqual([
      'before in transmit port 0',
      'after in transmit port 1',
      'before out transmit port 1',
      'after out transmit port 0',
    ]);
    expect(records[0]!.frame).toEqual(question);
    expect(records[1]!.frame.subarray(14)).toEqual(toServer);
    expect(records[3]!.frame.subarray(14)).toEqual(toClient);
    expect(records.map((record) => record.packet)).toEqual([0, 0, 1, 1]);
    const [first] = records;
    expect(records.every(({ connection }) => connection === first!.connection)).toBe(true);
    expect(records.every(({ service, destination }) => service > 0 && destination > 0)).toBe(true);
    expect([rings.drain(), rings.lost()]).toEqual([[], 0]);
  });

  test('packets that change from worker to worker: in the order in which they were handled', () => {
    const { director, rings } = start({}, 2);
    for (let from = 1024; from < 1034; from++) {
      director.send('cli', CLIENT, VIRTUAL, ...syn(80, from));
      const answer = tcp({ sourcePort: 80, destinationPort: from, flags: 'SA' });
      director.send('srv', SERVER, CLIENT, answer);
    }
    const records = rings.drain();
    expect(records).toHaveLength(40);
    const numbers = Array.from({ length: 40 }, (_, index) => index >> 1);
    expect(records.map((record) => record.packet)).toEqual(numbers);
    expect(records.map(({ direction }) => direction)).toEqual(
      numbers.map((number) => (number % 2 === 0 ? 'in' : 'out')),
    );
  });

  test('numbers that wrap around: the order stays', () => {
    const { director, rings } = start({}, 2);
    director.director.memory.u32[CONTROL_CAPTURE_PACKETS >>> 2] = 0xffff_fffe;
    for (let from = 1024; from < 1028; from++)
      director.send('cli', CLIENT, VIRTUAL, ...syn(80, from));
    const came = rings.drain().filter(({ kind }) => kind === 'before');
    expect(came.map((record) => record.packet)).toEqual([0xffff_fffe, 0xffff_ffff, 0, 1]);
  });

  test('off, and off again: nothing', () => {
    const { director, rings } = start();
    rings.end();
    director.send('cli', CLIENT, VIRTUAL, ...syn());
    expect(rings.drain()).toEqual([]);
    rings.begin(ALL);
    director.send('cli', CLIENT, VIRTUAL, ...syn());
    rings.end();
    director.send('cli', CLIENT, VIRTUAL, ...syn());
    expect(rings.drain()).toHaveLength(2);
  });

  test('what an earlier capture left is not in the next one', () => {
    const { director, rings } = start();
    director.send('cli', CLIENT, VIRTUAL, ...syn());
    rings.begin(ALL);
    expect(rings.drain()).toEqual([]);
  });

  test('one service, one direction', () => {
    const { director, rings } = start({ direction: 'out' });
    director.send('cli', CLIENT, VIRTUAL, ...syn());
    expect(rings.drain()).toEqual([]);
    const answer = tcp({ sourcePort: 80, destinationPort: 1024, flags: 'SA' });
    director.send('srv', SERVER, CLIENT, answer);
    const [record] = rings.drain();
    expect(record?.direction).toBe('out');
    rings.begin({ ...ALL, service: record!.service });
    const query = udp({ sourcePort: 1024, destinationPort: 53 });
    director.send('cli', CLIENT, VIRTUAL, query, payload('?'));
    expect(rings.drain()).toEqual([]);
    director.send('cli', CLIENT, VIRTUAL, ...syn(80, 1025));
    expect(rings.drain()).toHaveLength(2);
  });

  test('ICMP errors about a connection, from either side: records of its service', () => {
    const { director, rings } = start();
    director.send('cli', CLIENT, VIRTUAL, ...syn());
    const [{ service }] = rings.drain();
    rings.begin({ ...ALL, service });
    const error = (from: string, to: string, fromPort: number, toPort: number): Layer[] => [
      icmp({ type: 3, code: 3 }),
      ipv4({ source: from, destination: to }),
      tcp({ sourcePort: fromPort, destinationPort: toPort }),
    ];
    director.send('srv', SERVER, CLIENT, ...error(CLIENT, SERVER, 1024, 80));
    director.send('cli', CLIENT, VIRTUAL, ...error(VIRTUAL, CLIENT, 80, 1024));
    const other = error(VIRTUAL, CLIENT, 80, 9999);
    director.send('cli', CLIENT, VIRTUAL, ...other);
    expect(rings.drain().map(words)).toEqual([
      'before out transmit port 1',
      'after out transmit port 0',
      'before in transmit port 0',
      'after in transmit port 1',
    ]);
  });

  test('a drop: as it came, with its reason; what is sent because of it comes after', () => {
    const { director, rings } = start();
    director.send('cli', CLIENT, VIRTUAL, ...syn(81));
    const records = rings.drain();
    expect(records.map(words)).toEqual(['before in drop port 0', 'after in drop port 0']);
    expect(COUNTER_NAMES[records[0]!.reason]).toBe('drop-no-destination-available');
    expect(records[0]!.service).toBeGreaterThan(0);
    // The ICMP error to the client.
    expect(records[1]!.frame[23]).toBe(1);
  });

  test('a malformed frame: whatever came of it', () => {
    const { director, rings } = start();
    const ip = ipv4({ source: CLIENT, destination: VIRTUAL });
    const frame = packet(ethernet({ destination: MAC }), ip, ...syn());
    frame[24]! ^= 1;
    director.receive('cli', frame);
    const [record, ...others] = rings.drain();
    expect(others).toEqual([]);
    expect(record).toMatchObject({ verdict: 'drop', connection: 0, originalLength: frame.length });
    expect(COUNTER_NAMES[record!.reason]).toBe('drop-ipv4-header-checksum-wrong');
    expect(record!.frame).toEqual(frame);
  });

  test('snap length: cut, the original length kept', () => {
    const { director, rings } = start({ snapLength: 20 });
    director.send('cli', CLIENT, VIRTUAL, ...syn());
    for (const { frame, originalLength } of rings.drain()) {
      expect([frame.length, originalLength]).toEqual([20, 54]);
    }
    expect(CAPTURE_DATA_MAX).toBeGreaterThan(1800);
  });

  test('fragments: each as it came, and those that left with the last of them', () => {
    const { director, rings } = start();
    const whole = packet(
      ethernet({ destination: MAC }),
      ipv4({ source: CLIENT, destination: VIRTUAL, identification: 7 }),
      udp({ sourcePort: 1024, destinationPort: 53 }),
      payload(2000),
    );
    for (const piece of fragmentIpv4(whole, 800)) director.receive('cli', piece);
    const records = rings.drain();
    const verdicts = records.filter(({ kind }) => kind === 'before').map(({ verdict }) => verdict);
    expect(verdicts).toEqual(['hold', 'hold', 'transmit']);
    const sent = records.filter(({ kind }) => kind === 'after');
    expect(sent).toHaveLength(3);
    expect(new Set(sent.map((record) => record.packet)).size).toBe(1);
  });

  test('rings that nobody empties: whole packets are lost, and counted', () => {
    const { director, rings } = start();
    const packets = CAPTURE_SLOTS;
    for (let i = 0; i < packets; i++) director.send('cli', CLIENT, VIRTUAL, ...syn(80, 2000 + i));
    const records = rings.drain();
    expect(records).toHaveLength(CAPTURE_SLOTS - 1);
    expect(rings.lost()).toBe(packets - (CAPTURE_SLOTS - 1) / 2);
    director.send('cli', CLIENT, VIRTUAL, ...syn(80, 10_000));
    expect(rings.drain()).toHaveLength(2);
  });

  test(`emptied at random times, nothing is lost and nothing mixed up (seed ${SEED})`, () => {
    const random = new Random(SEED);
    const { director, rings } = start();
    const ports: number[] = [];
    const seen: number[] = [];
    const drain = () => {
      const records = rings.drain();
      for (const [index, { kind, frame, packet: number }] of records.entries()) {
        expect(kind).toBe(index % 2 === 0 ? 'before' : 'after');
        expect(number).toBe(records[index - (index % 2)]!.packet);
        if (kind === 'before') seen.push((frame[34]! << 8) | frame[35]!);
      }
    };
    for (let i = 0; i < 1500; i++) {
      ports.push(random.between(1024, 60_000));
      director.send('cli', CLIENT, VIRTUAL, ...syn(80, ports.at(-1)!));
      if (random.oneIn(100)) drain();
      // The most that may wait.
      if (i % 250 === 0) drain();
    }
    drain();
    expect(seen).toEqual(ports);
    expect(rings.lost()).toBe(0);
  });
});
