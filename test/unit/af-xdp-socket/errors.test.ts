// What callers are told: codes, the failing call, and a sentence that helps.

import { once } from 'node:events';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  type Helpers,
  Namespace,
  removeNamespacesAfterwards,
  skipUnlessPossible,
} from './namespace.ts';

const possible = skipUnlessPossible();
removeNamespacesAfterwards();

let net: Namespace;
beforeAll(() => {
  if (!possible) return;
  net = new Namespace([{ left: 'a0', right: 'b0', queues: 2 }]);
});

describe('a queue that is taken', () => {
  test('by this process: EBUSY says so', async () => {
    const errors = await net.run(({ xdp, Bench, thrown }) => {
      const bench = new Bench();
      bench.open('a0');
      const other = xdp.createUmem({ memory: bench.frames, frameSize: 2048 });
      return [
        thrown(() => bench.open('a0', 0, { umem: other })),
        thrown(() => bench.open('a0', 0)),
      ];
    });
    for (const error of errors) {
      expect(error).toMatchObject({ code: 'EBUSY', errno: 16, syscall: 'bind(AF_XDP)' });
      expect(error?.message).toMatch(/Queue 0 of a0 is taken/);
      expect(error?.message).toMatch(/This process already has an AF_XDP socket on it/);
    }
  });

  test('by another process: EBUSY names it', async () => {
    const holder = net.start(async ({ Bench, sleep }) => {
      const bench = new Bench();
      bench.open('a0', 1);
      process.stdout.write('open\n');
      await sleep(20_000);
    });
    await once(holder.stdout, 'data');
    const error = await net.run(({ Bench, thrown }) => {
      const bench = new Bench();
      return thrown(() => bench.open('a0', 1));
    });
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    expect(error).toMatchObject({ code: 'EBUSY' });
    // With xdp_diag in the kernel the holder is certain, without it is a short list.
    expect(error?.message).toMatch(/Queue 1 of a0 is taken\..* \d+ \(\S+\)/);
    expect(error?.message).toContain(` ${holder.pid} (`);
  });

  test('is free again at once after close', async () => {
    const opened = await net.run(({ Bench }) => {
      const bench = new Bench({ ports: 20 });
      let count = 0;
      for (; count < 20; count++) bench.open('a0').socket.close();
      return count;
    });
    expect(opened).toBe(20);
  });
});

test('no such interface: ENODEV, by name and by index', async () => {
  const errors = await net.run(({ xdp, Bench, thrown }) => {
    const bench = new Bench({ ports: 8 });
    return [
      thrown(() => bench.open('nowhere')),
      thrown(() => bench.open('a-name-much-longer-than-any')),
      thrown(() => bench.open('', 0)),
      thrown(() => xdp.interfaceInfo(54321)),
      thrown(() => xdp.XdpProgram.load(xdp.REDIRECT_ALL_BYTECODE).attach('nowhere')),
    ];
  });
  for (const error of errors) {
    expect(error).toMatchObject({ code: 'ENODEV', errno: 19 });
    expect(error?.message).toMatch(/There is no interface/);
  }
});

test('no such queue: EINVAL says how many there are', async () => {
  const error = await net.run(({ Bench, thrown }) => {
    const bench = new Bench();
    return thrown(() => bench.open('a0', 2));
  });
  expect(error).toMatchObject({ code: 'EINVAL' });
  expect(error?.message).toMatch(/a0 has 2 queues, numbered from 0/);
});

test('zero-copy on a driver without: EOPNOTSUPP names driver and remedy', async () => {
  const error = await net.run(({ Bench, thrown }) => {
    const bench = new Bench();
    return thrown(() => bench.open('a0', 0, { mode: 'zero-copy' }));
  });
  expect(error).toMatchObject({ code: 'EOPNOTSUPP' });
  expect(error?.message).toMatch(/a0 \(veth\) has no zero-copy AF_XDP; use mode 'auto' or 'copy'/);
});

test('sockets of a umem cannot differ in mode', async () => {
  const errors = await net.run(({ Bench, thrown }) => {
    const bench = new Bench();
    bench.open('a0');
    return [
      thrown(() => bench.open('b0', 0, { mode: 'zero-copy' })),
      thrown(() => bench.open('b0', 0, { needWakeup: false })),
    ];
  });
  expect(errors[0]?.message).toMatch(/work in copy mode/);
  expect(errors[1]?.message).toMatch(/needWakeup: true/);
});

describe('without privileges', () => {
  test('EPERM names the missing capability', async () => {
    const errors = await net.run(({ xdp, Bench, thrown }) => {
      const bench = new Bench();
      process.setuid?.(65534);
      const wasm = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
      return {
        umem: thrown(() =>
          xdp.createUmem({ memory: new Uint8Array(wasm.buffer), frameSize: 2048 }),
        ),
        socket: thrown(() => {
          bench.open('a0');
          bench.open('b0');
        }),
        map: thrown(() =>
          xdp.BpfMap.create({ type: 'hash', keyLength: 4, valueLength: 4, maxEntries: 4 }),
        ),
        program: thrown(() => xdp.XdpProgram.load(xdp.REDIRECT_ALL_BYTECODE)),
        tun: thrown(() => xdp.openTun()),
      };
    });
    expect(errors.umem).toMatchObject({ code: 'EPERM', syscall: 'socket(AF_XDP)' });
    expect(errors.umem?.message).toMatch(/CAP_NET_RAW is missing: run as root/);
    expect(errors.socket).toMatchObject({ code: 'EPERM' });
    expect(errors.map).toMatchObject({ code: 'EPERM', syscall: 'bpf(BPF_MAP_CREATE)' });
    expect(errors.map?.message).toMatch(/CAP_BPF and CAP_NET_ADMIN are missing/);
    expect(errors.program).toMatchObject({ code: 'EPERM' });
    expect(['EPERM', 'EACCES']).toContain(errors.tun?.code);
  });

  test('ENOBUFS tells of the limit of locked memory', async () => {
    const script = (helpers: Helpers) => {
      const { xdp, thrown } = helpers;
      const wasm = new WebAssembly.Memory({ initial: 64, maximum: 64, shared: true });
      return thrown(() => xdp.createUmem({ memory: new Uint8Array(wasm.buffer), frameSize: 2048 }));
    };
    // CAP_IPC_LOCK lifts the limit, so it has to go from the bounding set before node starts.
    const error = await net.run(script, undefined, [
      ...['prlimit', '--memlock=65536'],
      ...['setpriv', '--bounding-set=-ipc_lock', '--inh-caps=-ipc_lock'],
    ]);
    expect(error).toMatchObject({ code: 'ENOBUFS', syscall: 'setsockopt(XDP_UMEM_REG)' });
    expect(error?.message).toMatch(/RLIMIT_MEMLOCK/);
  });
});
