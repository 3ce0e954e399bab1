// Descriptors and memory come back, also when something fails half-way or a worker is terminated.

import { beforeAll, expect, test } from 'vitest';
import { Namespace, removeNamespacesAfterwards, skipUnlessPossible } from './namespace.ts';

const possible = skipUnlessPossible();
removeNamespacesAfterwards();

let net: Namespace;
beforeAll(() => {
  if (!possible) return;
  net = new Namespace([{ left: 'a0', right: 'b0' }]);
});

test('everything opened and closed leaves no descriptor', async () => {
  const result = await net.run(async ({ xdp, Bench, descriptors, until }) => {
    const round = () => {
      const bench = new Bench({ back: (view) => xdp.mapSharedMemory(view) });
      const a = bench.open('a0');
      const b = bench.open('b0');
      const steering = xdp.Steering.load();
      steering.attach('a0');
      steering.setSocket('a0', 0, a.socket.fd);
      steering.publish({ services: [{ address: '1.2.3.4', protocol: 'tcp', port: 5 }] });
      const event = new xdp.EventDescriptor();
      const tun = xdp.openTun();
      const netlink = xdp.openNetlink({ groups: [1], onMessage() {} });
      xdp.interfaceInfo('a0');
      for (const { socket } of [a, b]) socket.close();
      bench.umem.close();
      bench.shared?.close();
      for (const one of [steering, event, tun, netlink]) one.close();
    };
    round();
    // A netlink socket is closed by the event loop, once its thread has ended.
    let before = descriptors();
    await until(() => {
      const now = descriptors();
      const settled = now.length === before.length;
      before = now;
      return settled && !now.some((text) => text.includes('anon_inode:[eventfd]x'));
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
    before = descriptors();
    for (let count = 0; count < 5; count++) round();
    await new Promise((resolve) => setTimeout(resolve, 200));
    return { before: before.length, after: descriptors().length, list: descriptors() };
  });
  expect(result.after, result.list.join('\n')).toBe(result.before);
});

test('opening that fails leaves no descriptor, and memory as it was', async () => {
  const result = await net.run(({ xdp, Bench, descriptors, thrown }) => {
    const bench = new Bench({ ports: 12 });
    bench.bytes.fill(5, 0, bench.frames.byteOffset);
    const other = xdp.createUmem({ memory: bench.frames, frameSize: 2048 });
    bench.open('a0');
    const fails = () => {
      bench.nextRing = 0;
      return [
        thrown(() => bench.open('a0', 0, { umem: other })),
        thrown(() => bench.open('nowhere', 0)),
        thrown(() => bench.open('b0', 7)),
        thrown(() => bench.open('b0', 0, { mode: 'zero-copy', umem: other })),
        thrown(() => xdp.XdpProgram.load({ ...xdp.REDIRECT_ALL_BYTECODE, instructions: 'AAAA' })),
        thrown(() => xdp.mapSharedMemory(bench.bytes, { path: '/proc/version' })),
      ].map((error) => error?.code ?? error?.name);
    };
    const codes = fails();
    const before = descriptors().length;
    for (let count = 0; count < 10; count++) fails();
    // The first ring region of a0 is really mapped; the others were only tried.
    const behind = bench.frames.byteOffset - 1;
    return { codes, before, after: descriptors().length, byte: bench.bytes[behind] };
  });
  expect(result.codes).toEqual([
    'EBUSY',
    'ENODEV',
    'EINVAL',
    'EOPNOTSUPP',
    expect.anything(),
    expect.anything(),
  ]);
  expect(result.after).toBe(result.before);
  expect(result.byte).toBe(5);
});

test('a worker that ends, or is terminated, takes its descriptors with it', async () => {
  const result = await net.run(async ({ xdp, Bench, descriptors, inThread, until }) => {
    const use = async (terminate: boolean) => {
      const { worker, messages } = inThread((helpers, stay) => {
        const { xdp: own } = helpers;
        const bench = new helpers.Bench();
        const { socket } = bench.open('a0');
        const steering = own.Steering.load();
        steering.attach('a0');
        steering.setSocket('a0', 0, socket.fd);
        new own.EventDescriptor();
        own.openNetlink({ groups: [1], onMessage() {} }).unref();
        helpers.post('open');
        return stay ? new Promise((resolve) => setTimeout(resolve, 20_000)) : undefined;
      }, terminate);
      const exited = new Promise((resolve) => worker.once('exit', resolve));
      await until(() => messages.length > 0);
      if (terminate) await worker.terminate();
      await exited;
    };
    await use(false);
    await use(true);
    const before = descriptors().length;
    for (let count = 0; count < 3; count++) {
      await use(false);
      await use(true);
    }
    const after = descriptors().length;
    const attached = xdp.interfaceInfo('a0').xdp;
    const bench = new Bench();
    return { before, after, attached, queue: bench.open('a0').socket.queue };
  });
  expect(result).toEqual({ before: result.before, after: result.before, attached: null, queue: 0 });
});

test('memory may go while rings are in it: closing later harms nobody', async () => {
  const kept = await net.run(async ({ Bench }) => {
    const sockets = [];
    for (let count = 0; count < 3; count++) {
      const bench = new Bench();
      const { socket } = bench.open('a0');
      sockets.push(socket);
      await new Promise((resolve) => setTimeout(resolve, 10));
      socket.close();
    }
    return sockets.length;
  });
  expect(kept).toBe(3);
});

test('many threads may load and use the package at once', async () => {
  const done = await net.run(async ({ inThread, until }) => {
    const threads = Array.from({ length: 8 }, (_, index) =>
      inThread((helpers, number) => {
        for (let count = 0; count < 20; count++) {
          const map = helpers.xdp.BpfMap.create({
            type: 'hash',
            keyLength: 4,
            valueLength: 4,
            maxEntries: 16,
          });
          map.update(Uint8Array.of(number, 0, 0, 0), new Uint8Array(4));
          map.close();
          helpers.xdp.interfaceInfo('a0');
        }
        helpers.post('done');
      }, index),
    );
    await until(() => threads.every(({ messages }) => messages.length === 1));
    return threads.length;
  });
  expect(done).toBe(8);
});
