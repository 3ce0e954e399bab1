// Wake-ups, polling, and sockets used from worker threads by their numbers.

import { constants } from 'node:os';
import { beforeAll, expect, test } from 'vitest';
import { Namespace, removeNamespacesAfterwards, skipUnlessPossible } from './namespace.ts';

const possible = skipUnlessPossible();
removeNamespacesAfterwards();

let net: Namespace;
beforeAll(() => {
  if (!possible) return;
  net = new Namespace([{ left: 'a0', right: 'b0' }]);
});

test('an event counts its signals and makes poll return', async () => {
  const result = await net.run(({ xdp }) => {
    const event = new xdp.EventDescriptor();
    const fds = Int32Array.of(event.fd, -1);
    const ready = new Int32Array(2);
    const before = xdp.pollDescriptors(fds, 0, ready);
    event.signal();
    xdp.signalEvent(event.fd);
    const after = xdp.pollDescriptors(fds, 1000, ready);
    const bits = Array.from(ready);
    const counts = [event.drain(), event.drain(), xdp.drainEvent(event.fd)];
    const writable = xdp.pollDescriptors(fds, 0, ready, Int32Array.of(xdp.POLLOUT, 0));
    event.close();
    event.close();
    return { before, after, bits, counts, writable };
  });
  expect(result).toEqual({ before: 0, after: 1, bits: [1, 0], counts: [2, 0, 0], writable: 1 });
});

test('a signal ends the sleep of another thread', async () => {
  const slept = await net.run(async ({ xdp, inThread, until, sleep }) => {
    const event = new xdp.EventDescriptor();
    const { messages } = inThread((helpers, fd) => {
      helpers.post('asleep');
      const ready = helpers.xdp.pollDescriptors(Int32Array.of(fd), -1);
      helpers.post([ready, helpers.xdp.drainEvent(fd)]);
    }, event.fd);
    await until(() => messages.length > 0);
    await sleep(50);
    const before = messages.length;
    event.signal();
    await until(() => messages.length === 2);
    return { before, after: messages[1] };
  });
  expect(slept).toEqual({ before: 1, after: [1, 1] });
});

test('a worker receives and sends on a socket the main thread opened', async () => {
  const result = await net.run(async ({ xdp, Bench, inThread, until }) => {
    const bench = new Bench();
    const [a, b] = [bench.open('a0'), bench.open('b0')];
    for (const { socket } of [a, b]) {
      const program = xdp.XdpProgram.load(xdp.REDIRECT_ALL_BYTECODE);
      program.attach(socket.interfaceIndex);
      program.maps.sockets!.update(new Uint8Array(4), Uint8Array.from([socket.fd, 0, 0, 0]));
    }
    const { fd, rings } = b.socket;
    // It waits for a frame and sends it back to where it came from.
    const { messages } = inThread(
      (helpers, data) => {
        const memory = new Uint8Array(data.memory.buffer);
        const driver = new helpers.RingDriver(data.socket as never, memory);
        driver.fill([0, 2048, 4096]);
        helpers.post('ready');
        const ready = new Int32Array(1);
        const count = helpers.xdp.pollDescriptors(Int32Array.of(data.socket.fd), 5000, ready);
        const frames = driver.receive();
        driver.transmit(frames);
        const code = helpers.xdp.wakeTransmit(data.socket.fd);
        helpers.post({ count, ready: ready[0], frames: frames.length, code });
      },
      { socket: { fd, rings }, memory: bench.wasm },
    );
    await until(() => messages.length > 0);
    a.fill(bench.addresses(32, 8));
    a.transmit([bench.write(64 * 2048, new Uint8Array(77).fill(0x42))]);
    xdp.wakeTransmit(a.socket.fd);
    const [echoed] = await until(() => {
      const frames = a.receive();
      return frames.length > 0 ? frames : null;
    });
    await until(() => messages.length === 2);
    return { report: messages[1], length: echoed!.length, byte: bench.read(echoed!)[70] };
  });
  expect(result).toEqual({
    report: { count: 1, ready: 1, frames: 1, code: 0 },
    length: 77,
    byte: 0x42,
  });
});

test('what the kernel refuses comes back as a negative errno, not as an exception', async () => {
  const codes = await net.run(({ xdp, Bench, ip }) => {
    const bench = new Bench();
    const a = bench.open('a0');
    const bad = 1_000_000;
    const event = new xdp.EventDescriptor();
    const ready = new Int32Array(1);
    ip('link', 'set', 'a0', 'down');
    const down = xdp.wakeTransmit(a.socket.fd);
    ip('link', 'set', 'a0', 'up');
    return {
      transmit: xdp.wakeTransmit(bad),
      receive: xdp.wakeReceive(bad),
      notSocket: xdp.wakeTransmit(event.fd),
      poll: xdp.pollDescriptors(Int32Array.of(bad), 0, ready),
      bits: ready[0],
      signal: xdp.signalEvent(bad),
      drain: xdp.drainEvent(bad),
      read: xdp.readDescriptor(bad, new Uint8Array(1)),
      write: xdp.writeDescriptor(bad, new Uint8Array(1)),
      down,
    };
  });
  const { EBADF, ENOTSOCK, ENETDOWN } = constants.errno;
  expect(codes).toEqual({
    transmit: -EBADF,
    receive: -EBADF,
    notSocket: -ENOTSOCK,
    poll: 1,
    bits: 32,
    signal: -EBADF,
    drain: -EBADF,
    read: -EBADF,
    write: -EBADF,
    down: -ENETDOWN,
  });
});
