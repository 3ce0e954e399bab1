// The part of the bench of the steering program that runs in a network namespace of its own, where
// nobody minds a program on the loopback interface. Prints ns a frame, one number a round, as JSON.
//
//   node steering-run.js '{"services":N,"rounds":N,"repeat":N}'

import {
  createUmem,
  openSocket,
  type RingKind,
  ringLength,
  Steering,
  type SteeringTables,
} from 'af-xdp-socket';

/** What is asked for. */
export interface SteeringRun {
  readonly services: number;
  readonly rounds: number;
  /** Runs of the program for one number. */
  readonly repeat: number;
}

/** What is measured: ns a frame by round. */
export type SteeringTimes = Readonly<
  Record<'to a service' | 'from a server' | 'of nobody' | 'not IP', number[]>
>;

const ENTRIES = 64;
const FRAME_BYTES = 60;
const PAGE = 4096;
const UMEM_FRAME = 2048;
const PORT_AT = { source: 34, destination: 36 } as const;
const SERVERS = 10;

/** A socket on the loopback interface's only queue: without one, every frame passes at once. */
function openLoopback() {
  const memory = new Uint8Array(
    new WebAssembly.Memory({ initial: 16, maximum: 16, shared: true }).buffer,
  );
  let next = 0;
  const place = (kind: RingKind) => {
    const placement = { memory, byteOffset: next, entries: ENTRIES };
    next += ringLength(kind, ENTRIES);
    return placement;
  };
  const rings = {
    fill: place('fill'),
    completion: place('completion'),
    rx: place('rx'),
    tx: place('tx'),
  };
  const frames = memory.subarray(Math.ceil(next / PAGE) * PAGE);
  const whole = frames.subarray(0, frames.length - (frames.length % UMEM_FRAME));
  const umem = createUmem({ memory: whole, frameSize: UMEM_FRAME });
  return openSocket({ umem, interface: 'lo', queue: 0, mode: 'copy', rings });
}

function serviceAddress(service: number): string {
  return `198.18.${service >> 8}.${service & 255}`;
}

function serverAddress(service: number, server: number): string {
  return `10.${service >> 8}.${service & 255}.${server + 1}`;
}

function tablesOf(services: number): SteeringTables {
  const all = Array.from({ length: services }, (_, service) => service);
  return {
    services: all.map((service) => {
      return { address: serviceAddress(service), protocol: 'tcp', port: 80 };
    }),
    realServers: all.flatMap((service) =>
      Array.from({ length: SERVERS }, (_, server) => {
        return { address: serverAddress(service, server), protocol: 'tcp', port: 8080 } as const;
      }),
    ),
    localAddresses: ['192.0.2.1'],
  };
}

/** A TCP segment, to the loopback interface's MAC address, which is all zeroes. */
function segment(from: readonly [string, number], to: readonly [string, number]): Uint8Array {
  const frame = new Uint8Array(FRAME_BYTES);
  const view = new DataView(frame.buffer);
  view.setUint16(12, 0x0800);
  view.setUint16(14, 0x4500);
  view.setUint16(16, FRAME_BYTES - 14);
  view.setUint8(22, 64);
  view.setUint8(23, 6);
  frame.set(from[0].split('.').map(Number), 26);
  frame.set(to[0].split('.').map(Number), 30);
  view.setUint16(PORT_AT.source, from[1]);
  view.setUint16(PORT_AT.destination, to[1]);
  view.setUint8(46, 0x50);
  return frame;
}

function measure({ services, rounds, repeat }: SteeringRun): SteeringTimes {
  const socket = openLoopback();
  const steering = Steering.load();
  steering.attach('lo', 'generic');
  steering.publish(tablesOf(services));
  steering.setSocket('lo', 0, socket.fd);
  const middle = services >> 1;
  const client = ['203.0.113.9', 40_000] as const;
  const frames = {
    'to a service': segment(client, [serviceAddress(middle), 80]),
    'from a server': segment([serverAddress(middle, 0), 8080], client),
    'of nobody': segment(client, ['203.0.113.10', 443]),
    // Little more than the test run itself.
    'not IP': new Uint8Array(FRAME_BYTES),
  };
  const outcomes = [
    'steered-virtual-service',
    'steered-nat-reply',
    'passed-no-service',
    'passed-not-ip',
  ];
  const names = Object.keys(frames) as (keyof SteeringTimes)[];
  const times = Object.fromEntries(names.map((name) => [name, []])) as unknown as SteeringTimes;
  for (let round = -1; round < rounds; round++) {
    for (const [index, name] of names.entries()) {
      const { outcome, durationNs } = steering.testRun(frames[name], { repeat });
      if (outcome !== outcomes[index]) throw new Error(`a frame ${name} was ${outcome}`);
      if (round >= 0) times[name].push(durationNs);
    }
  }
  steering.close();
  socket.close();
  return times;
}

process.stdout.write(`${JSON.stringify(measure(JSON.parse(process.argv[2]) as SteeringRun))}\n`);
