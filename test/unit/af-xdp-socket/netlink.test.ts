// rtnetlink on the event loop, interfaces, TUN.

import { beforeAll, describe, expect, test } from 'vitest';
import { Namespace, removeNamespacesAfterwards, skipUnlessPossible } from './namespace.ts';

const possible = skipUnlessPossible();
removeNamespacesAfterwards();

let net: Namespace;
beforeAll(() => {
  if (!possible) return;
  net = new Namespace([{ left: 'a0', right: 'b0', queues: 3, mtu: 1400 }]);
});

describe('netlink', () => {
  test('a dump is answered, message by message, up to its end', async () => {
    const types = await net.run(async ({ xdp, until, dumpRequest, messageTypes }) => {
      const seen: number[] = [];
      const socket = xdp.openNetlink({
        onMessage: (datagram) => seen.push(...messageTypes(datagram)),
      });
      socket.send(dumpRequest(18)); // RTM_GETLINK
      await until(() => seen.at(-1) === 3);
      const port = socket.portId;
      socket.close();
      return { seen, port };
    });
    // lo, a0, b0, and the end of the dump.
    expect(types.seen).toEqual([16, 16, 16, 3]);
    expect(types.port).toBeGreaterThan(0);
  });

  test('dumps while addresses come and go: each is answered to its end, and no error', async () => {
    const result = await net.run(async ({ xdp, until, dumpRequest, messageTypes }) => {
      const DUMPS = 20_000;
      const { spawn } = process.getBuiltinModule('node:child_process');
      const errors: string[] = [];
      let ended = 0;
      let events = 0;
      // RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE, RTM_GETNEIGH
      const requests = [18, 22, 26, 30].map(dumpRequest);
      const ask = () => socket.send(requests[ended % requests.length]!);
      const socket = xdp.openNetlink({
        groups: [5, 7], // RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE
        receiveBuffer: 1 << 23,
        onMessage(datagram) {
          for (const type of messageTypes(datagram)) {
            events += 1;
            if (type !== 3) continue;
            ended += 1;
            if (ended < DUMPS) ask();
          }
        },
        onError: ({ message }) => errors.push(message),
      });
      const pair = 'addr add 192.0.2.1/24 dev lo\naddr del 192.0.2.1/24 dev lo\n';
      const changes = spawn('ip', ['-batch', '-'], { stdio: ['pipe', 'ignore', 'ignore'] });
      changes.stdin.on('error', () => {});
      changes.stdin.end(pair.repeat(100_000));
      await until(() => events > 0);
      ask();
      await until(() => ended === DUMPS || errors.length > 0);
      changes.kill('SIGKILL');
      socket.close();
      return { ended, errors };
    });
    expect(result).toEqual({ ended: 20_000, errors: [] });
  });

  test('events of joined groups arrive, until close', async () => {
    const counts = await net.run(async ({ xdp, until, ip, sleep }) => {
      let count = 0;
      const socket = xdp.openNetlink({
        groups: [1],
        onMessage() {
          count += 1;
        },
      });
      ip('link', 'add', 'x0', 'type', 'veth', 'peer', 'name', 'y0');
      await until(() => count >= 2);
      socket.close();
      socket.close();
      const atClose = count;
      ip('link', 'del', 'x0');
      await sleep(100);
      return { grew: count - atClose };
    });
    expect(counts.grew).toBe(0);
  });

  test('an overrun is reported as ENOBUFS, and the socket goes on', async () => {
    const result = await net.run(async ({ xdp, until, ip }) => {
      const errors: { code: string; message: string }[] = [];
      let messages = 0;
      const socket = xdp.openNetlink({
        groups: [1],
        receiveBuffer: 1,
        onMessage() {
          messages += 1;
        },
        onError: ({ code, message }) => errors.push({ code, message }),
      });
      // Events without reading: this thread is busy, and the queue to it is bounded.
      const { execFileSync } = process.getBuiltinModule('node:child_process');
      const lines = Array.from(
        { length: 400 },
        (_, index) => `link set a0 mtu ${1300 + (index % 2)}`,
      );
      for (let round = 0; round < 50 && errors.length === 0; round++) {
        execFileSync('ip', ['-batch', '-'], { input: `${lines.join('\n')}\n` });
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      const before = messages;
      ip('link', 'set', 'a0', 'mtu', '1400');
      await until(() => messages > before);
      socket.close();
      return errors[0] ?? null;
    });
    expect(result?.code).toBe('ENOBUFS');
    expect(result?.message).toMatch(/ask for a new dump/);
  });

  test('what a callback throws is an uncaught exception, not silence', async () => {
    const message = await net.run(({ xdp, dumpRequest }) => {
      const caught = new Promise<string>((resolve) => {
        process.once('uncaughtException', (error) => resolve(error.message));
      });
      const socket = xdp.openNetlink({
        onMessage() {
          throw new Error('from the callback');
        },
      });
      socket.send(dumpRequest(18));
      return caught.finally(() => socket.close());
    });
    expect(message).toBe('from the callback');
  });

  test('a process with an unreferenced socket ends by itself', async () => {
    // run() would wait for a process that does not.
    const { stdout } = await import('node:child_process').then(({ spawnSync }) =>
      spawnSync(
        process.execPath,
        [
          '--input-type=module',
          '-e',
          `import { openNetlink } from '${new URL('../../../host/af-xdp-socket/index.js', import.meta.url)}'
           openNetlink({ onMessage() {} }).unref()
           console.log('over')`,
        ],
        { encoding: 'utf8', timeout: 10_000 },
      ),
    );
    expect(stdout).toBe('over\n');
  });

  test('a closed socket refuses, a wrong group is explained', async () => {
    const errors = await net.run(({ xdp, thrown }) => {
      const socket = xdp.openNetlink({ onMessage() {} });
      socket.close();
      return [
        thrown(() => socket.send(new Uint8Array(16))),
        thrown(() => xdp.openNetlink({ groups: [1000], onMessage() {} })),
        thrown(() => xdp.openNetlink({ protocol: 25, onMessage() {} })),
      ];
    });
    expect(errors[0]).toMatchObject({ code: 'EBADF' });
    expect(errors[1]?.message).toMatch(/multicast groups does not exist/);
    expect(errors[2]).toMatchObject({ code: 'EPROTONOSUPPORT' });
  });
});

test('interfaceInfo tells names, numbers, queues', async () => {
  const info = await net.run(({ xdp }) => {
    const byName = xdp.interfaceInfo('a0');
    return { byName, same: xdp.interfaceInfo(byName.index).name };
  });
  expect(info.same).toBe('a0');
  expect(info.byName).toMatchObject({
    name: 'a0',
    mtu: 1400,
    up: true,
    rxQueues: 3,
    txQueues: 3,
    kind: 'veth',
    xdp: null,
    mac: expect.stringMatching(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/),
  });
});

test('a TUN device carries packets both ways', async () => {
  const result = await net.run(async ({ xdp, ip, until, thrown }) => {
    const tun = xdp.openTun('wvs%d');
    ip('address', 'add', '10.9.0.1/24', 'dev', tun.name);
    ip('link', 'set', tun.name, 'up');
    const again = thrown(() => xdp.openTun(tun.name));
    const { createSocket } = process.getBuiltinModule('node:dgram');
    const socket = createSocket('udp4');
    socket.send('ping', 9, '10.9.0.2');
    const buffer = new Uint8Array(2048);
    const length = await until(() => {
      const read = xdp.readDescriptor(tun.fd, buffer);
      return read > 0 && buffer[0] === 0x45 && buffer[9] === 17 ? read : null;
    });
    const empty = xdp.readDescriptor(tun.fd, buffer.subarray(1024));
    // Turned round, it arrives at the sender.
    const answered = new Promise<string>((resolve) => {
      socket.once('message', (message) => resolve(message.toString()));
    });
    const swap = (at: number, other: number, count: number) => {
      const kept = buffer.slice(at, at + count);
      buffer.copyWithin(at, other, other + count);
      buffer.set(kept, other);
    };
    swap(12, 16, 4);
    swap(20, 22, 2);
    const written = xdp.writeDescriptor(tun.fd, buffer.subarray(0, length));
    const text = await answered;
    socket.close();
    tun.close();
    return { name: tun.name, length, empty, written, text, again };
  });
  expect(result).toMatchObject({ name: 'wvs0', length: 32, written: 32, text: 'ping' });
  expect(result.again).toMatchObject({ code: 'EBUSY' });
});
