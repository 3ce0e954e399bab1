// The steering program in place: publishing, ports, live traffic, and what stays the kernel's.

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { STEERING_OUTCOMES } from 'af-xdp-socket';
import { beforeAll, describe, expect, test } from 'vitest';
import { ethernet, ipv4, packet, payload, tcp, toHex } from '../../support/packet-builder.ts';
import { Namespace, removeNamespacesAfterwards, skipUnlessPossible } from './namespace.ts';

const possible = skipUnlessPossible();
removeNamespacesAfterwards();

const HOME = fileURLToPath(new URL('../../../host/af-xdp-socket/', import.meta.url));

function frameTo(destination: string, destinationPort: number, mac?: string): string {
  const to = mac === undefined ? {} : { destination: mac };
  return toHex(packet(ethernet(to), ipv4({ destination }), tcp({ destinationPort }), payload(20)));
}

let net: Namespace;
beforeAll(() => {
  if (!possible) return;
  net = new Namespace([
    { left: 'a0', right: 'b0' },
    { left: 'c0', right: 'd0' },
  ]);
});

describe('publishing', () => {
  test('ten thousand services with ten servers each', async () => {
    const { milliseconds, written, changes } = await net.run(({ xdp }) => {
      const services = Array.from({ length: 10_000 }, (_, index) => ({
        address: `192.${index >> 8}.${index & 255}.1`,
        protocol: 'tcp' as const,
        port: 80,
      }));
      const realServers = Array.from({ length: 100_000 }, (_, index) => ({
        address: `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`,
        protocol: 'tcp' as const,
        port: 8080,
      }));
      const steering = xdp.Steering.load();
      const timed = (tables: Parameters<typeof steering.publish>[0]) => {
        const start = performance.now();
        const { written } = steering.publish(tables);
        return { written, milliseconds: Math.round(performance.now() - start) };
      };
      const times = [
        timed({ services, realServers }),
        timed({ services, realServers }),
        timed({ services, realServers: realServers.slice(1) }),
        timed({ services: services.slice(1), realServers }),
      ];
      const changes = [];
      for (const realServer of realServers.slice(0, 20)) {
        const start = performance.now();
        const { deleted } = steering.publishChanges({ removed: { realServers: [realServer] } });
        changes.push({ deleted, milliseconds: performance.now() - start });
      }
      steering.close();
      return {
        changes,
        milliseconds: times.map((time) => time.milliseconds),
        written: times.map((time) => time.written),
      };
    });
    process.stderr.write(
      `publish of 10,000 services x 10 servers: ${milliseconds.slice(0, 2).join(' and ')} ms for ` +
        `the two banks, ${milliseconds.slice(2).join(' and ')} ms for one change; as a change alone ` +
        `${Math.min(...changes.map((change) => change.milliseconds)).toFixed(1)} ms\n`,
    );
    // Each in this bank, and the one before in the bank that missed it.
    expect(changes.map(({ deleted }) => deleted).slice(1)).toEqual(Array(19).fill(2));
    // An address each, with its services or servers in the address's own entry, and every place of
    // the array in front.
    const first = 110_000 + 32_768;
    expect(written).toEqual([first, first, 0, 0]);
  });

  test('no frame is ever judged by a mixture of two configurations', async () => {
    const result = await net.run(
      async ({ xdp, Bench, inThread, until, sleep }, hex) => {
        const bench = new Bench();
        const a = bench.open('a0');
        const b = bench.open('b0');
        const steering = xdp.Steering.load();
        steering.attach('b0');
        steering.setSocket('b0', 0, b.socket.fd);
        const frame = xdp.interfaceInfo('b0').mac!.replaceAll(':', '') + hex.slice(12);
        const filler = (base: number) =>
          Array.from({ length: 2000 }, (_, index) => ({
            address: `10.${base}.${index >> 8}.${index & 255}`,
            protocol: 'tcp' as const,
            port: 1,
          }));
        // Both take 192.0.2.80:80, each by an entry the other does not have, among many others. The
        // first lists it at its address, the second has too many there for that.
        const service = { address: '192.0.2.80', protocol: 'tcp' as const };
        const many = [80, 81, 82, 83, 84, 85].map((port) => ({ ...service, port }));
        const tables = [
          { services: [...filler(1), { ...service, port: 0 }] },
          { services: [...many, ...filler(2)] },
        ];
        steering.publish(tables[0]!);
        const state = new Int32Array(new SharedArrayBuffer(4));
        const { fd, rings } = a.socket;
        const { messages } = inThread(
          (helpers, data) => {
            const memory = new Uint8Array(data.memory.buffer);
            const driver = new helpers.RingDriver(data.socket as never, memory);
            const content = Buffer.from(data.frame, 'hex');
            let free = Array.from({ length: 64 }, (_, index) => index * 2048);
            for (const address of free) memory.set(content, data.framesAt + address);
            let sent = 0;
            while (Atomics.load(data.state, 0) === 0) {
              driver.transmit(free.map((address) => ({ address, length: content.length })));
              sent += free.length;
              do {
                helpers.xdp.wakeTransmit(data.socket.fd);
                free = driver.complete();
              } while (free.length === 0);
            }
            helpers.post(sent);
          },
          {
            socket: { fd, rings },
            memory: bench.wasm,
            framesAt: bench.frames.byteOffset,
            frame,
            state,
          },
        );
        await until(() => steering.counters()['steered-virtual-service'] > 0);
        let publishes = 0;
        for (const end = Date.now() + 1500; Date.now() < end; publishes++) {
          // Differences only, so that every publish deletes and writes thousands of entries.
          steering.publish(tables[(publishes + 1) % 2]!);
          steering.publish({ services: [...tables[publishes % 2]!.services, ...filler(3)] });
          steering.publish(tables[(publishes + 1) % 2]!);
        }
        Atomics.store(state, 0, 1);
        await until(() => messages.length > 0);
        await sleep(50);
        const counted = Object.entries(steering.counters()).filter(([, count]) => count > 0);
        steering.close();
        return { counted, publishes };
      },
      frameTo('192.0.2.80', 80),
    );
    expect(result.counted.map(([outcome]) => outcome)).toEqual(['steered-virtual-service']);
    expect(result.counted[0]![1]).toBeGreaterThan(1000);
    expect(result.publishes).toBeGreaterThan(3);
  });

  test('what is refused leaves what was published in force', async () => {
    const result = await net.run(
      ({ xdp, thrown }, frames) => {
        const steering = xdp.Steering.load({
          capacity: { services: 3, realServers: 2, addresses: 4, marks: 1 },
        });
        const outcome = (hex: string) =>
          steering.testRun(Uint8Array.from(Buffer.from(hex, 'hex'))).outcome;
        const service = (last: number) => ({
          address: `192.0.2.${last}`,
          protocol: 'tcp' as const,
          port: 80,
        });
        const mark = (last: number) => ({
          destination: `203.0.113.${last}`,
          protocol: 'tcp' as const,
        });
        steering.publish({ services: [service(80)] });
        const errors = [
          // Five at one address: these do not fit into the address's own entry.
          thrown(() =>
            steering.publish({
              services: [1, 2, 3, 4, 5].map((port) => ({ ...service(1), port })),
            }),
          ),
          thrown(() => steering.publish({ marks: [mark(1), mark(2)] })),
          thrown(() =>
            steering.publish({ services: [service(1)], localAddresses: ['1.1.1.1', 'nonsense'] }),
          ),
        ];
        const kept = frames.map(outcome);
        steering.publish({ services: [1, 2, 81].map(service) });
        steering.publish({ services: [3, 4, 81].map(service) });
        steering.publish({ services: [5, 6, 81].map(service) });
        const replaced = frames.map(outcome);
        steering.close();
        return { errors, kept, replaced };
      },
      [frameTo('192.0.2.80', 80), frameTo('192.0.2.81', 80)],
    );
    expect(result.errors.map((error) => error?.name)).toEqual(
      Array.from({ length: 3 }, () => 'RangeError'),
    );
    expect(result.errors[0]?.message).toMatch(/5 services are more than the 3/);
    expect(result.errors[1]?.message).toMatch(/2 marks are more than the 1/);
    expect(result.errors[2]?.message).toMatch(
      /localAddresses\[1\] must be an IPv4 or IPv6 address/,
    );
    // Steered, but for the socket, which this test does not have.
    expect(result.kept).toEqual(['passed-no-socket', 'passed-no-service']);
    expect(result.replaced).toEqual(['passed-no-service', 'passed-no-socket']);
  });

  test('wrong tables are refused with the path of what is wrong', async () => {
    const errors = await net.run(({ xdp, thrown }) => {
      const steering = xdp.Steering.load();
      const refuse = (tables: unknown) =>
        thrown(() => steering.publish(tables as never))?.message ?? null;
      const service = { address: '192.0.2.1', protocol: 'tcp', port: 80 };
      const many = Array.from({ length: 9 }, (_, index) => [index * 10, index * 10]);
      return [
        refuse(null),
        refuse({ services: 'x' }),
        refuse({ services: [null] }),
        refuse({ services: [service, { ...service, port: 65536 }] }),
        refuse({ services: [{ ...service, protocol: 'icmp' }] }),
        refuse({ services: [{ ...service, protocol: 'any' }] }),
        refuse({ services: [{ ...service, address: '192.0.2.256' }] }),
        refuse({ services: [{ ...service, address: new Uint8Array(5) }] }),
        refuse({ marks: [{ destination: '10.0.0.0/33', protocol: 'tcp' }] }),
        refuse({ marks: [{ destination: '10.0.0.0/8', protocol: 'any', ports: [[1, 2]] }] }),
        refuse({ marks: [{ destination: '10.0.0.0/8', protocol: 'tcp', ports: [[2, 1]] }] }),
        refuse({ marks: [{ destination: '10.0.0.0/8', protocol: 'tcp', ports: many }] }),
        refuse({ fullNat: [{ address: '10.0.0.1', ports: many }] }),
        refuse({ fullNat: [{ address: '10.0.0.1', ports: [1] }] }),
        refuse({ tunnels: [{ address: '10.0.0.1', guePort: -1 }] }),
        refuse({ realServers: [{ ...service, address: 'fe80::1%eth0' }] }),
      ];
    });
    expect(errors).toEqual([
      expect.stringMatching(/^tables must be an object/),
      expect.stringMatching(/^services must be an array/),
      expect.stringMatching(/^services\[0\] must be an object/),
      expect.stringMatching(/^services\[1\]\.port must be a whole number from 0 to 65535/),
      expect.stringMatching(/^services\[0\]\.protocol must be one of 'tcp', 'udp'/),
      expect.stringMatching(/^services\[0\]\.port must be 0: protocol 'any'/),
      expect.stringMatching(/^services\[0\]\.address must be an IPv4 or IPv6 address/),
      expect.stringMatching(/^services\[0\]\.address must be 4 or 16 bytes/),
      expect.stringMatching(/^marks\[0\]\.destination must end in a prefix length of 0 to 32/),
      expect.stringMatching(/^marks\[0\]\.ports: protocol 'any' stands for no ports/),
      expect.stringMatching(/^marks\[0\]\.ports\[0\] must not end before it starts/),
      expect.stringMatching(/^marks: a destination can have at most 8/),
      expect.stringMatching(/^fullNat\[0\]\.ports: an address can have at most 4/),
      expect.stringMatching(/^fullNat\[0\]\.ports\[0\] must be \[first, last\]/),
      expect.stringMatching(/^tunnels\[0\]\.guePort must be a whole number/),
      expect.stringMatching(/^realServers\[0\]\.address must be an IPv4 or IPv6 address/),
    ]);
  });
});

describe('ports', () => {
  test('two interfaces whose indices fall on the same place: each has its own socket', async () => {
    const result = await net.run(
      async ({ xdp, Bench, until, ip }, hex) => {
        ip('link', 'add', 'p0', 'index', '130', 'type', 'veth', 'peer', 'p1', 'index', '194');
        for (const name of ['p0', 'p1']) ip('link', 'set', name, 'up');
        const bench = new Bench();
        const ends = ['p0', 'p1'].map((name) => bench.open(name));
        const steering = xdp.Steering.load();
        for (const [index, end] of ends.entries()) {
          steering.attach(end.socket.interfaceIndex);
          steering.setSocket(end.socket.interfaceIndex, 0, end.socket.fd);
          end.fill(bench.addresses(32 * index, 32));
        }
        steering.publish({ services: [{ address: '192.0.2.80', protocol: 'tcp', port: 80 }] });
        const counts = [0, 0];
        const send = (from: number, frame: number) => {
          const bytes = Uint8Array.from(Buffer.from(hex, 'hex'));
          const mac = xdp.interfaceInfo(`p${1 - from}`).mac!;
          bytes.set(Buffer.from(mac.replaceAll(':', ''), 'hex'));
          ends[from]!.transmit([bench.write(frame * 2048, bytes)]);
          xdp.wakeTransmit(ends[from]!.socket.fd);
        };
        const received = () => {
          for (const [index, end] of ends.entries()) counts[index]! += end.receive().length;
          return counts;
        };
        send(0, 100);
        await until(() => received()[1] === 1);
        send(1, 101);
        await until(() => received()[0] === 1);
        // The one that was found first leaves; the other stays where it is.
        steering.detach('p0');
        send(0, 102);
        await until(() => received()[1] === 2);
        steering.close();
        return counts;
      },
      frameTo('192.0.2.80', 80),
    );
    expect(result).toEqual([1, 2]);
  });

  test('one program steers several interfaces, each to its own socket', async () => {
    const result = await net.run(
      async ({ xdp, Bench, until, thrown }, hex) => {
        const bench = new Bench();
        const [a, b, c, d] = ['a0', 'b0', 'c0', 'd0'].map((name) => bench.open(name));
        const steering = xdp.Steering.load();
        const notYet = thrown(() => steering.setSocket('b0', 0, b!.socket.fd));
        for (const end of [b!, d!]) {
          const { interfaceIndex, fd } = end.socket;
          steering.attach(interfaceIndex);
          steering.setSocket(interfaceIndex, 0, fd);
          end.fill(bench.addresses(end === b ? 0 : 32, 32));
        }
        const twice = thrown(() => steering.attach('b0'));
        steering.publish({ services: [{ address: '192.0.2.80', protocol: 'tcp', port: 80 }] });
        const send = (driver: typeof a, interfaceName: string, frame: number) => {
          const bytes = Uint8Array.from(Buffer.from(hex, 'hex'));
          const mac = xdp.interfaceInfo(interfaceName).mac!;
          bytes.set(Buffer.from(mac.replaceAll(':', ''), 'hex'));
          driver!.transmit([bench.write(frame * 2048, bytes)]);
          xdp.wakeTransmit(driver!.socket.fd);
        };
        send(a, 'b0', 100);
        send(c, 'd0', 101);
        send(c, 'd0', 102);
        const counts = [0, 0];
        await until(() => {
          counts[0]! += b!.receive().length;
          counts[1]! += d!.receive().length;
          return counts[0] === 1 && counts[1] === 2;
        });
        // A frame for another machine's MAC passes, and after a change of MAC so does the old one.
        send(a, 'a0', 103);
        await until(() => steering.counters()['passed-other-host'] === 1);
        steering.detach('b0');
        steering.detach('b0');
        const detached = xdp.interfaceInfo('b0').xdp;
        const stillThere = xdp.interfaceInfo('d0').xdp?.mode;
        steering.attach('b0').close();
        steering.close();
        return {
          notYet,
          twice,
          counts,
          detached,
          stillThere,
          afterwards: xdp.interfaceInfo('d0').xdp,
        };
      },
      frameTo('192.0.2.80', 80),
    );
    expect(result.notYet).toMatchObject({ code: 'ENODEV' });
    expect(result.notYet?.message).toMatch(/not attached to b0; attach\(\) it first/);
    expect(result.twice).toMatchObject({ code: 'EBUSY' });
    expect(result).toMatchObject({
      counts: [1, 2],
      detached: null,
      stillThere: 'native',
      afterwards: null,
    });
  });

  test('an interface that was deleted and made anew can be attached again', async () => {
    const result = await net.run(({ xdp, Bench, ip }) => {
      const bench = new Bench();
      const steering = xdp.Steering.load();
      const modes = [1, 2].map(() => {
        ip('link', 'add', 'g0', 'type', 'veth', 'peer', 'name', 'h0');
        ip('link', 'set', 'g0', 'up');
        const link = steering.attach('g0');
        const { socket } = bench.open('g0');
        steering.setSocket('g0', 0, socket.fd);
        ip('link', 'del', 'g0');
        socket.close();
        return link.mode;
      });
      steering.close();
      return modes;
    });
    expect(result).toEqual(['native', 'native']);
  });

  test('a changed MAC is followed when told', async () => {
    const result = await net.run(
      async ({ xdp, Bench, until, ip }, hex) => {
        const bench = new Bench();
        const [a, b] = [bench.open('a0'), bench.open('b0')];
        const steering = xdp.Steering.load();
        steering.attach('b0');
        steering.setSocket('b0', 0, b.socket.fd);
        steering.publish({ services: [{ address: '192.0.2.80', protocol: 'tcp', port: 80 }] });
        const counted = async (outcome: 'passed-other-host' | 'steered-virtual-service') => {
          a.transmit([bench.write(0, Uint8Array.from(Buffer.from(hex, 'hex')))]);
          xdp.wakeTransmit(a.socket.fd);
          await until(() => steering.counters()[outcome] === 1, outcome);
        };
        await counted('passed-other-host');
        ip('link', 'set', 'b0', 'address', '02:00:00:00:00:01');
        steering.refreshPort('b0');
        await counted('steered-virtual-service');
        steering.close();
        return true;
      },
      frameTo('192.0.2.80', 80, '02:00:00:00:00:01'),
    );
    expect(result).toBe(true);
  });
});

test('ping, ARP and a TCP service on the same address go on working', async () => {
  const peer = new Namespace();
  net.execute('ip', 'link', 'add', 'e0', 'type', 'veth', 'peer', 'name', 'f0');
  net.execute('ip', 'link', 'set', 'f0', 'netns', peer.name);
  net.execute('ip', 'address', 'add', '192.0.2.80/24', 'dev', 'e0');
  net.execute('ip', 'link', 'set', 'e0', 'up');
  peer.execute('ip', 'address', 'add', '192.0.2.7/24', 'dev', 'f0');
  peer.execute('ip', 'link', 'set', 'f0', 'up');
  const director = net.start(async ({ xdp, Bench, sleep }) => {
    const { createServer } = process.getBuiltinModule('node:net');
    const server = createServer((socket) => socket.end('hello from the kernel'));
    await new Promise<void>((resolve) => server.listen(22, '192.0.2.80', () => resolve()));
    const bench = new Bench();
    const { socket } = bench.open('e0');
    const steering = xdp.Steering.load();
    steering.attach('e0', 'native');
    steering.setSocket('e0', 0, socket.fd);
    steering.publish({
      services: [{ address: '192.0.2.80', protocol: 'tcp', port: 80 }],
      localAddresses: ['192.0.2.80'],
    });
    process.stdout.write('ready\n');
    await sleep(20_000);
  });
  await new Promise((resolve) => director.stdout.once('data', resolve));
  const ping = peer.execute('ping', '-c', '2', '-i', '0.2', '-W', '2', '192.0.2.80');
  const greeting = await peer.run(async () => {
    const { connect } = process.getBuiltinModule('node:net');
    const socket = connect(22, '192.0.2.80');
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk;
    });
    await new Promise((resolve) => socket.once('end', resolve));
    return text;
  });
  const refused = await peer.run(async () => {
    const { connect } = process.getBuiltinModule('node:net');
    const socket = connect(80, '192.0.2.80');
    return new Promise((resolve) => {
      socket.once('error', (error: Error & { code: string }) => resolve(error.code));
      setTimeout(() => resolve('no answer: it went to the socket'), 500);
    });
  });
  director.kill('SIGKILL');
  expect(ping).toMatch(/2 received/);
  expect(greeting).toBe('hello from the kernel');
  expect(refused).toBe('no answer: it went to the socket');
});

describe('the committed bytecode', () => {
  test('names every outcome the types promise', () => {
    const types = readFileSync(`${HOME}index.d.ts`, 'utf8');
    const [, union] = /export type SteeringOutcome =([^;]*);/.exec(types) ?? [];
    const promised = [...(union ?? '').matchAll(/'([^']+)'/g)].map(([, name]) => name);
    expect(promised).toEqual([...STEERING_OUTCOMES]);
  });

  test('is what the source builds', (context) => {
    const committed = JSON.parse(readFileSync(`${HOME}bpf/steering.bytecode.json`, 'utf8')) as {
      compiler: string;
    };
    const major = /version (\d+)/.exec(committed.compiler)?.[1];
    const found = [`clang-${major}`, 'clang'].find((name) => {
      const { stdout } = spawnSync(name, ['--version'], { encoding: 'utf8' });
      return /version (\d+)/.exec(stdout ?? '')?.[1] === major;
    });
    if (found === undefined) context.skip(`clang ${major}, which built it, is not installed`);
    const { status, stderr } = spawnSync(
      'make',
      ['-s', '-C', HOME, 'check-bytecode', `CLANG=${found}`],
      { encoding: 'utf8' },
    );
    expect(stderr).toBe('');
    expect(status).toBe(0);
  });
});
