// Wrong arguments: TypeError or RangeError, before any system call, never a crash. None of this
// needs privileges.

import * as xdp from 'af-xdp-socket';
import { describe, expect, test } from 'vitest';

// Wrong on purpose, so the types have to look away.
// biome-ignore lint/suspicious/noExplicitAny: every call here is one the types forbid
const wrong = xdp as any;

const wasm = new WebAssembly.Memory({ initial: 4, maximum: 4, shared: true });
const memory = new Uint8Array(wasm.buffer);

const JUNK = [undefined, null, true, 'x', -1, 1.5, Number.NaN, 2 ** 60, {}, [], Symbol('s'), 10n];

/** Calls that must throw, whatever of JUNK is put in their place. */
const CALLS: [string, (junk: unknown) => unknown][] = [
  ['createUmem(options)', (junk) => wrong.createUmem(junk)],
  ['createUmem memory', (junk) => wrong.createUmem({ memory: junk, frameSize: 2048 })],
  ['createUmem frameSize', (junk) => wrong.createUmem({ memory, frameSize: junk })],
  ['ringLength kind', (junk) => wrong.ringLength(junk, 64)],
  ['ringLength entries', (junk) => wrong.ringLength('rx', junk)],
  ['openSocket', (junk) => wrong.openSocket(junk)],
  ['openSocket umem', (junk) => wrong.openSocket({ umem: junk, interface: 'lo', queue: 0 })],
  ['socketStatistics', (junk) => wrong.socketStatistics(junk)],
  ['wakeTransmit', (junk) => wrong.wakeTransmit(junk)],
  ['wakeReceive', (junk) => wrong.wakeReceive(junk)],
  ['pollDescriptors fds', (junk) => wrong.pollDescriptors(junk, 0)],
  [
    'pollDescriptors timeout',
    (junk) => (junk === -1 ? throwAnyway() : wrong.pollDescriptors(new Int32Array(1), junk)),
  ],
  ['signalEvent', (junk) => wrong.signalEvent(junk)],
  ['drainEvent', (junk) => wrong.drainEvent(junk)],
  ['readDescriptor fd', (junk) => wrong.readDescriptor(junk, new Uint8Array(1))],
  ['readDescriptor view', (junk) => wrong.readDescriptor(0, junk)],
  ['writeDescriptor view', (junk) => wrong.writeDescriptor(1, junk)],
  ['adviseHugePages', (junk) => wrong.adviseHugePages(junk)],
  ['adviseDontFork', (junk) => wrong.adviseDontFork(junk)],
  ['mapSharedMemory view', (junk) => wrong.mapSharedMemory(junk)],
  ['BpfMap.create', (junk) => wrong.BpfMap.create(junk)],
  [
    'BpfMap.create type',
    (junk) => wrong.BpfMap.create({ type: junk, keyLength: 4, valueLength: 4, maxEntries: 1 }),
  ],
  [
    'BpfMap.create keyLength',
    (junk) => wrong.BpfMap.create({ type: 'hash', keyLength: junk, valueLength: 4, maxEntries: 1 }),
  ],
  ['XdpProgram.load', (junk) => wrong.XdpProgram.load(junk)],
  [
    'Steering.load capacity',
    (junk) =>
      junk === undefined ? throwAnyway() : wrong.Steering.load({ capacity: { services: junk } }),
  ],
  ['interfaceInfo', (junk) => wrong.interfaceInfo(junk)],
  ['openNetlink', (junk) => wrong.openNetlink(junk)],
  ['openNetlink onMessage', (junk) => wrong.openNetlink({ onMessage: junk })],
];

function throwAnyway(): never {
  throw new TypeError('this value would be right');
}

describe('junk in the place of an argument', () => {
  test.each(CALLS)('%s', (_, call) => {
    for (const junk of JUNK) {
      let thrown: unknown;
      try {
        call(junk);
      } catch (error) {
        thrown = error;
      }
      expect(thrown, String(junk)).toBeInstanceOf(Error);
      const { code } = thrown as { code?: string };
      // A name that could be an interface's, and is none, is a wrong value for the kernel only.
      if (code !== 'ENODEV') {
        expect([TypeError, RangeError], `${String(junk)}: ${thrown}`).toContain(
          (thrown as Error).constructor,
        );
      }
    }
  });
});

function messageOf(call: () => unknown): string {
  try {
    call();
    return 'nothing was thrown';
  } catch (error) {
    return (error as Error).message;
  }
}

describe('what the message says', () => {
  test.each([
    [
      /memory must start on a page/,
      () => xdp.createUmem({ memory: memory.subarray(8), frameSize: 2048 }),
    ],
    [
      /whole number of frames of 4096/,
      () => xdp.createUmem({ memory: memory.subarray(0, 6144), frameSize: 4096 }),
    ],
    [/frameSize must be 2048 or 4096/, () => wrong.createUmem({ memory, frameSize: 3000 })],
    [/headroom must be/, () => xdp.createUmem({ memory, frameSize: 2048, headroom: 1792 })],
    [/must be a power of two, not 100/, () => xdp.ringLength('fill', 100)],
    [/from 1 to 4194304/, () => xdp.ringLength('fill', 2 ** 23)],
    [/one of 'fill', 'completion', 'rx', 'tx'/, () => wrong.ringLength('tcp', 64)],
    [
      /ready must be as long as fds/,
      () => xdp.pollDescriptors(new Int32Array(2), 0, new Int32Array(1)),
    ],
    [
      /events must be as long as fds/,
      () => xdp.pollDescriptors(new Int32Array(2), 0, new Int32Array(2), new Int32Array(3)),
    ],
    [/at most POLL_DESCRIPTORS_MAX/, () => xdp.pollDescriptors(new Int32Array(257), 0)],
    [/on a SharedArrayBuffer/, () => xdp.mapSharedMemory(new Uint8Array(65536))],
    [/start on a page/, () => xdp.mapSharedMemory(memory.subarray(8, 4104))],
    [/Only one of fd, path and name/, () => xdp.mapSharedMemory(memory, { fd: 0, name: 'x' })],
    [/fileOffset must be a multiple/, () => xdp.mapSharedMemory(memory, { fileOffset: 5 })],
    [
      /name must be at most 15/,
      () =>
        xdp.BpfMap.create({
          type: 'hash',
          name: 'a-name.with dashes',
          keyLength: 4,
          valueLength: 4,
          maxEntries: 1,
        }),
    ],
    [/groups must be an array/, () => wrong.openNetlink({ groups: 5, onMessage() {} })],
    [/Use createUmem\(\)/, () => new wrong.Umem()],
    [/Use openSocket\(\)/, () => new wrong.XdpSocket()],
    [/Use BpfMap\.create\(\)/, () => new wrong.BpfMap()],
    [/Use XdpProgram\.load\(\)/, () => new wrong.XdpProgram()],
    [/Use attach\(\)/, () => new wrong.XdpLink()],
    [/Use Steering\.load\(\)/, () => new wrong.Steering()],
    [/Use openNetlink\(\)/, () => new wrong.NetlinkSocket()],
    [/Use openTun\(\)/, () => new wrong.TunDevice()],
    [/Use mapSharedMemory\(\)/, () => new wrong.SharedMemory()],
  ])('%s', (expected, call) => {
    expect(messageOf(call)).toMatch(expected);
  });
});

test('limits are constants', () => {
  expect(xdp.FRAME_SIZE_MIN).toBe(2048);
  expect(xdp.RING_ENTRIES_MAX).toBe(4_194_304);
  expect(xdp.STEERING_PORTS_MAX).toBe(64);
  expect(xdp.STEERING_QUEUES_MAX).toBe(256);
  expect(xdp.STEERING_MARK_RULES_MAX).toBe(8);
  expect(xdp.STEERING_FULL_NAT_RANGES_MAX).toBe(4);
});

test('the whole interface is exported, and nothing else', async () => {
  const { readFileSync } = await import('node:fs');
  const types = readFileSync(
    new URL('../../../host/af-xdp-socket/index.d.ts', import.meta.url),
    'utf8',
  );
  const declared = [...types.matchAll(/^export (?:const|class|function) (\w+)/gm)].map(
    ([, name]) => name,
  );
  expect(Object.keys(xdp).sort()).toEqual([...new Set(declared)].sort());
});
