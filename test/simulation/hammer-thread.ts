/** A worker thread of workers.test.ts: a data plane of its own over the shared memory. */

import { parentPort, workerData } from 'node:worker_threads';
import { DataPlaneMemory } from '../../host/memory/data-plane-memory.ts';
import { WasmWorker } from '../../host/replay/wasm-worker.ts';
import * as build from '../support/packet-builder.ts';
import { Random } from '../support/random.ts';

/** What the test gives to each thread. */
export interface HammerTask {
  readonly worker: number;
  readonly memory: WebAssembly.Memory;
  readonly module: WebAssembly.Module;
  readonly seed: number;
  readonly startTick: number;
  /** Ticks of the data plane in one millisecond of ours. */
  readonly ticksPerMillisecond: number;
  /**
   * Three words: the tick that both threads see, moved on by worker 0; not 0 when they are to end;
   * how many of them have begun.
   */
  readonly clock: SharedArrayBuffer;
  readonly clientMac: string;
  readonly serverMac: string;
}

/** What it answers. */
export interface HammerResult {
  readonly received: number;
  readonly sent: number;
  readonly turns: number;
}

const CLIENT_PORTS = 12;
const SERVICE_PORTS = [80, 81, 82, 83, 84];

function frameOf(random: Random, task: HammerTask): { port: number; frame: Uint8Array } {
  const inward = random.oneIn(2);
  const flags = random.pick(['S', 'S', 'A', 'A', 'SA', 'FA', 'R', 'A']);
  const clientPort = 1000 + random.below(CLIENT_PORTS);
  const servicePort = random.pick(SERVICE_PORTS);
  const isUdp = servicePort === 84;
  const toPool = servicePort === 82 && !inward;
  const layers = [
    build.ethernet({ destination: inward ? task.clientMac : task.serverMac }),
    build.ipv4({
      source: inward ? '198.51.100.1' : random.pick(['10.0.0.11', '10.0.0.12']),
      destination: inward ? '192.0.2.80' : toPool ? '10.0.0.200' : '198.51.100.1',
    }),
  ];
  const ports = {
    sourcePort: inward ? clientPort : servicePort,
    destinationPort: inward ? servicePort : toPool ? 5000 + random.below(8) : clientPort,
  };
  layers.push(isUdp ? build.udp(ports) : build.tcp({ ...ports, flags }));
  return { port: inward ? 0 : 1, frame: build.packet(...layers) };
}

function run(task: HammerTask): HammerResult {
  const memory = DataPlaneMemory.attach(task.memory);
  const { worker, module, startTick: tick } = task;
  const plane = new WasmWorker({ memory, module, worker, ports: 2, tick });
  const random = new Random(task.seed + worker);
  // Building frames takes longer than handling them: a stock of them is used again and again.
  const stock = Array.from({ length: 2000 }, () => frameOf(random, task));
  const clock = new Int32Array(task.clock);
  Atomics.add(clock, 2, 1);
  const start = performance.now();
  let received = 0;
  let sent = 0;
  let turns = 0;
  for (;;) {
    if (Atomics.load(clock, 1) !== 0) break;
    const elapsed = performance.now() - start;
    if (worker === 0) {
      Atomics.store(clock, 0, tick + Math.floor(elapsed * task.ticksPerMillisecond));
    }
    for (let n = random.below(64); n > 0; n--) {
      const { port, frame } = random.pick(stock);
      if (plane.ports[port].receive(frame)) received++;
    }
    const now = Atomics.load(clock, 0);
    plane.work(now, now * 10);
    for (const port of plane.ports) sent += port.transmit().length;
    plane.takePassed();
    turns++;
  }
  return { received, sent, turns };
}

parentPort?.postMessage(run(workerData as HammerTask));
