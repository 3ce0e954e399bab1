// Frames through real rings: both ends of a veth pair are driven from one process, whose rings and
// frames are in a shared WebAssembly.Memory.

import { beforeAll, describe, expect, test } from 'vitest';
import { Namespace, removeNamespacesAfterwards, skipUnlessPossible } from './namespace.ts';

const possible = skipUnlessPossible();
removeNamespacesAfterwards();

let net: Namespace;
beforeAll(() => {
  if (!possible) return;
  net = new Namespace([
    { left: 'a0', right: 'b0', queues: 2 },
    { left: 'c0', right: 'd0', queues: 1 },
  ]);
});

describe('frames', () => {
  test.each(['native', 'generic'] as const)(
    '%s mode: sent on a0, received on b0, byte by byte',
    async (mode) => {
      const result = await net.run(async ({ xdp, Bench, until }, attachMode) => {
        const bench = new Bench();
        const a = bench.open('a0');
        const b = bench.open('b0');
        const program = xdp.XdpProgram.load(xdp.REDIRECT_ALL_BYTECODE);
        const link = program.attach('b0', attachMode);
        program.maps.sockets!.update(new Uint8Array(4), Uint8Array.from([b.socket.fd, 0, 0, 0]));
        b.fill(bench.addresses(0, 32));
        const content = Uint8Array.from({ length: 100 }, (_, index) => index);
        content.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x12, 0x34]);
        a.transmit([bench.write(bench.addresses(64, 1)[0]!, content)]);
        const wakeUp = xdp.wakeTransmit(a.socket.fd);
        const frames = await until(() => {
          const received = b.receive();
          return received.length > 0 ? received : null;
        });
        const completed = await until(() => {
          const done = a.complete();
          return done.length > 0 ? done : null;
        });
        return {
          mode: link.mode,
          wakeUp,
          completed,
          equal: Buffer.compare(bench.read(frames![0]!), content) === 0,
          offsetInFrame: frames![0]!.address % 2048,
          zeroCopy: b.socket.zeroCopy,
          statistics: b.socket.statistics(),
        };
      }, mode);
      expect(result.mode).toBe(mode);
      expect(result.wakeUp).toBe(0);
      expect(result.equal).toBe(true);
      expect(result.offsetInFrame).toBe(256);
      expect(result.completed).toEqual([64 * 2048]);
      expect(result.zeroCopy).toBe(false);
      expect(result.statistics.receiveDropped).toBe(0);
    },
  );

  test('a frame received on one interface leaves on another by its descriptor', async () => {
    const result = await net.run(async ({ xdp, Bench, until }) => {
      const bench = new Bench();
      const [a, b, c, d] = ['a0', 'b0', 'c0', 'd0'].map((name) => bench.open(name));
      const program = xdp.XdpProgram.load(xdp.REDIRECT_ALL_BYTECODE);
      const ends = [b!, d!].map((end) => {
        const own = xdp.XdpProgram.load(xdp.REDIRECT_ALL_BYTECODE);
        own.maps.sockets!.update(new Uint8Array(4), Uint8Array.from([end.socket.fd, 0, 0, 0]));
        return own.attach(end.socket.interfaceIndex);
      });
      b!.fill(bench.addresses(0, 16));
      d!.fill(bench.addresses(16, 16));
      const content = new Uint8Array(60).fill(0x5a);
      a!.transmit([bench.write(bench.addresses(64, 1)[0]!, content)]);
      xdp.wakeTransmit(a!.socket.fd);
      const [received] = (await until(() => {
        const frames = b!.receive();
        return frames.length > 0 ? frames : null;
      }))!;
      bench.frames[received!.address + 20] = 0x77;
      c!.transmit([received!]);
      xdp.wakeTransmit(c!.socket.fd);
      const [last] = (await until(() => {
        const frames = d!.receive();
        return frames.length > 0 ? frames : null;
      }))!;
      const bytes = bench.read(last!);
      program.close();
      return { links: ends.length, changed: bytes[20], same: bytes[21], length: bytes.length };
    });
    expect(result).toEqual({ links: 2, changed: 0x77, same: 0x5a, length: 60 });
  });

  test('each queue has its own socket, and frames stay on their queue', async () => {
    const counts = await net.run(async ({ xdp, Bench, until }) => {
      const bench = new Bench({ ports: 4 });
      const senders = [0, 1].map((queue) => bench.open('a0', queue));
      const receivers = [0, 1].map((queue) => bench.open('b0', queue));
      const program = xdp.XdpProgram.load(xdp.REDIRECT_ALL_BYTECODE);
      const link = program.attach('b0', 'native');
      for (const [queue, { socket }] of receivers.entries()) {
        program.maps.sockets!.update(
          Uint8Array.from([queue, 0, 0, 0]),
          Uint8Array.from([socket.fd, 0, 0, 0]),
        );
        receivers[queue]!.fill(bench.addresses(queue * 32, 32));
      }
      for (const [queue, sender] of senders.entries()) {
        const frames = bench
          .addresses(100 + queue * 10, queue + 3)
          .map((address) => bench.write(address, new Uint8Array(60).fill(queue + 1)));
        sender.transmit(frames);
        xdp.wakeTransmit(sender.socket.fd);
      }
      const got: number[][] = [[], []];
      await until(() => {
        for (const [queue, receiver] of receivers.entries()) {
          for (const frame of receiver.receive()) got[queue]!.push(bench.read(frame)[30]!);
        }
        return got[0]!.length === 3 && got[1]!.length === 4;
      });
      link.close();
      return got;
    });
    expect(counts).toEqual([
      [1, 1, 1],
      [2, 2, 2, 2],
    ]);
  });

  test('an empty fill ring is counted, and asks to be woken', async () => {
    const result = await net.run(async ({ xdp, Bench, until }) => {
      const bench = new Bench();
      const a = bench.open('a0');
      const b = bench.open('b0');
      const program = xdp.XdpProgram.load(xdp.REDIRECT_ALL_BYTECODE);
      const link = program.attach('b0', 'native');
      program.maps.sockets!.update(new Uint8Array(4), Uint8Array.from([b.socket.fd, 0, 0, 0]));
      a.transmit([bench.write(0, new Uint8Array(60).fill(1))]);
      xdp.wakeTransmit(a.socket.fd);
      const statistics = await until(() => {
        const now = b.socket.statistics();
        return now.receiveDropped + now.fillRingEmpty > 0 ? now : null;
      });
      const byDescriptor = xdp.socketStatistics(b.socket.fd);
      link.close();
      return { statistics, byDescriptor, wake: xdp.wakeReceive(b.socket.fd) };
    });
    expect(result.statistics!.fillRingEmpty).toBeGreaterThan(0);
    expect(result.byDescriptor).toEqual(result.statistics);
    expect(result.wake).toBe(0);
  });

  test('descriptors that point outside the umem are counted, not followed', async () => {
    const statistics = await net.run(async ({ xdp, Bench, until }) => {
      const bench = new Bench({ frames: 32 });
      const a = bench.open('a0');
      a.transmit([
        { address: 32 * 2048, length: 60 },
        { address: 0, length: 5000 },
      ]);
      // One wake-up ends at a descriptor it cannot send.
      await until(() => {
        xdp.wakeTransmit(a.socket.fd);
        return a.socket.statistics().transmitInvalidDescriptors === 2;
      });
      return a.socket.statistics();
    });
    expect(statistics.transmitInvalidDescriptors).toBe(2);
  });
});

describe('rings in linear memory', () => {
  test('ringLength is what the kernel maps, for every size', async () => {
    const result = await net.run(({ xdp }) => {
      const lengths: [number, number][] = [];
      for (let entries = 1; entries <= 1 << 16; entries *= 4) {
        const length = xdp.ringLength('rx', entries);
        const fill = xdp.ringLength('fill', 64);
        const pages = Math.ceil((length + 2 * fill) / 65536) + 1;
        const wasm = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
        const memory = new Uint8Array(wasm.buffer);
        const umem = xdp.createUmem({
          memory: memory.subarray(memory.length - 4096),
          frameSize: 2048,
        });
        const socket = xdp.openSocket({
          umem,
          interface: 'a0',
          queue: 0,
          rings: {
            fill: { memory, byteOffset: 0, entries: 64 },
            completion: { memory, byteOffset: fill, entries: 64 },
            rx: { memory, byteOffset: 2 * fill, entries },
          },
        });
        const { rx } = socket.rings;
        lengths.push([rx!.length, Math.ceil((rx!.descriptors + entries * 16) / 4096) * 4096]);
        socket.close();
        umem.close();
      }
      return lengths;
    });
    for (const [reserved, needed] of result) expect(reserved).toBe(needed);
  });

  test('rings of a million entries can be mapped and used', async () => {
    const entries = await net.run(({ xdp }) => {
      const count = 1 << 20;
      const fillLength = xdp.ringLength('fill', 64);
      const txLength = xdp.ringLength('tx', count);
      const pages = Math.ceil((2 * fillLength + txLength) / 65536) + 1;
      const wasm = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
      const memory = new Uint8Array(wasm.buffer);
      const umem = xdp.createUmem({
        memory: memory.subarray(memory.length - 4096),
        frameSize: 2048,
      });
      const socket = xdp.openSocket({
        umem,
        interface: 'a0',
        queue: 0,
        rings: {
          fill: { memory, byteOffset: 0, entries: 64 },
          completion: { memory, byteOffset: fillLength, entries: 64 },
          tx: { memory, byteOffset: 2 * fillLength, entries: count },
        },
      });
      memory[2 * fillLength + txLength - 4097] = 9;
      return socket.rings.tx!.entries;
    });
    expect(entries).toBe(1 << 20);
  });

  test.each([
    ['private memory', false],
    ['a memfd', true],
  ] as const)('after close, %s is plain memory again', async (_, shared) => {
    const result = await net.run(({ xdp, Bench }, onFile) => {
      const options = onFile ? { back: (view: Uint8Array) => xdp.mapSharedMemory(view) } : {};
      const bench = new Bench(options);
      bench.bytes.fill(7, 0, 4096);
      const a = bench.open('a0');
      const during = bench.bytes[300];
      a.socket.close();
      a.socket.close();
      const after = bench.bytes[300];
      bench.bytes.fill(9, 0, 1 << 16);
      const again = bench.open('a0');
      const reopened = again.socket.rings.fill.entries;
      again.socket.close();
      bench.umem.close();
      return { during, after, reopened };
    }, shared);
    expect(result.during).toBe(0);
    expect(result.after).toBe(shared ? 7 : 0);
    expect(result.reopened).toBe(64);
  });
});

describe('sharing', () => {
  test('the sockets of a umem may be closed in any order, and new ones opened', async () => {
    const result = await net.run(({ Bench, thrown }) => {
      const bench = new Bench({ ports: 6 });
      const first = bench.open('a0');
      const second = bench.open('b0');
      first.socket.close();
      const third = bench.open('c0');
      const whileOpen = thrown(() => bench.umem.close());
      second.socket.close();
      third.socket.close();
      const fourth = bench.open('a0');
      fourth.socket.close();
      bench.umem.close();
      bench.umem.close();
      return { whileOpen, afterwards: thrown(() => bench.open('a0')) };
    });
    expect(result.whileOpen).toMatchObject({ code: 'EBUSY' });
    expect(result.whileOpen?.message).toMatch(/2 sockets are still open/);
    expect(result.afterwards?.message).toMatch(/umem is closed/);
  });

  test('two umems on the same memory serve two interfaces', async () => {
    const fds = await net.run(({ xdp, Bench }) => {
      const bench = new Bench();
      const other = xdp.createUmem({ memory: bench.frames, frameSize: 2048 });
      const a = bench.open('a0');
      const b = bench.open('b0', 0, { umem: other });
      return [a.socket.fd, b.socket.fd].length;
    });
    expect(fds).toBe(2);
  });

  test('busy polling and doing without need-wakeup are accepted', async () => {
    const result = await net.run(({ Bench }) => {
      const bench = new Bench();
      const a = bench.open('a0', 0, {
        needWakeup: false,
        busyPoll: { microseconds: 20, budget: 32 },
      });
      return { needWakeup: a.socket.needWakeup, asks: a.fillRing.needsWakeup() };
    });
    expect(result).toEqual({ needWakeup: false, asks: false });
  });
});
