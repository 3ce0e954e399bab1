// BPF maps, programs, links.

import { once } from 'node:events';
import { beforeAll, describe, expect, test } from 'vitest';
import { Namespace, removeNamespacesAfterwards, skipUnlessPossible } from './namespace.ts';

const possible = skipUnlessPossible();
removeNamespacesAfterwards();

let net: Namespace;
beforeAll(() => {
  if (!possible) return;
  net = new Namespace([
    { left: 'a0', right: 'b0' },
    { left: 'big0', right: 'big1', mtu: 9000 },
  ]);
});

describe('maps', () => {
  test('hash: update, lookup, delete, keys, batches, full', async () => {
    const result = await net.run(({ xdp, thrown }) => {
      const map = xdp.BpfMap.create({
        type: 'hash',
        name: 'test.map',
        keyLength: 4,
        valueLength: 2,
        maxEntries: 8,
      });
      const key = (number: number) => Uint8Array.from([number, 0, 0, 0]);
      map.update(key(1), Uint8Array.from([7, 8]));
      const found = Array.from(map.lookup(key(1)) ?? []);
      const missing = map.lookup(key(2));
      const deleted = [map.delete(key(1)), map.delete(key(1))];
      map.updateBatch(
        Uint8Array.from([1, 2, 3, 4].flatMap((number) => [number, 0, 0, 0])),
        Uint8Array.from([10, 0, 20, 0, 30, 0, 40, 0]),
        4,
      );
      const keys = [...map.keys()].map((bytes) => bytes[0]!).sort();
      const batchDeleted = map.deleteBatch(
        Uint8Array.from([9, 1, 8, 3, 7].flatMap((number) => [number, 0, 0, 0])),
        5,
      );
      const left = [...map.keys()].map((bytes) => bytes[0]!).sort();
      const full = thrown(() => {
        for (let number = 0; number < 9; number++) map.update(key(number), new Uint8Array(2));
      });
      map.close();
      map.close();
      return { found, missing, deleted, keys, batchDeleted, left, full };
    });
    expect(result).toMatchObject({
      found: [7, 8],
      missing: null,
      deleted: [true, false],
      keys: [1, 2, 3, 4],
      batchDeleted: 2,
      left: [2, 4],
      full: { code: 'E2BIG' },
    });
    expect(result.full?.message).toMatch(/The map test\.map is full/);
  });

  test('an array has all its entries; per-CPU values come for every CPU', async () => {
    const result = await net.run(({ xdp }) => {
      const array = xdp.BpfMap.create({
        type: 'array',
        keyLength: 4,
        valueLength: 8,
        maxEntries: 2,
      });
      const perCpu = xdp.BpfMap.create({
        type: 'percpu-array',
        keyLength: 4,
        valueLength: 4,
        maxEntries: 1,
      });
      return {
        zero: Array.from(array.lookup(new Uint8Array(4)) ?? []),
        length: perCpu.lookup(new Uint8Array(4))?.length,
        lookupLength: perCpu.lookupLength,
      };
    });
    expect(result.zero).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
    expect(result.length).toBe(result.lookupLength);
    expect(result.lookupLength % 8).toBe(0);
  });

  test('a trie answers with the longest prefix', async () => {
    const result = await net.run(({ xdp }) => {
      const trie = xdp.BpfMap.create({
        type: 'lpm-trie',
        keyLength: 8,
        valueLength: 1,
        maxEntries: 4,
      });
      const key = (length: number, ...bytes: number[]) =>
        Uint8Array.from([length, 0, 0, 0, ...bytes]);
      trie.updateBatch(
        Uint8Array.from([...key(8, 10, 0, 0, 0), ...key(16, 10, 1, 0, 0)]),
        Uint8Array.from([1, 2]),
        2,
      );
      const lookup = (...bytes: number[]) => trie.lookup(key(32, ...bytes))?.[0] ?? null;
      return [lookup(10, 9, 9, 9), lookup(10, 1, 9, 9), lookup(11, 0, 0, 1)];
    });
    expect(result).toEqual([1, 2, null]);
  });
});

describe('programs', () => {
  test('what the verifier refuses comes with its log', async () => {
    const error = await net.run(({ xdp }) => {
      // Returns without having set a result.
      const instructions = Buffer.from([0x95, 0, 0, 0, 0, 0, 0, 0]).toString('base64');
      try {
        xdp.XdpProgram.load({ ...xdp.REDIRECT_ALL_BYTECODE, instructions, relocations: [] });
        return null;
      } catch (caught) {
        const { code, message, verifierLog } = caught as Error & {
          code: string;
          verifierLog: string;
        };
        return { code, message, verifierLog };
      }
    });
    expect(error?.code).toBe('EACCES');
    expect(error?.message).toMatch(/verifier refused[\s\S]*R0 !read_ok/);
    expect(error?.verifierLog).toMatch(/R0 !read_ok/);
  });

  test('testRun gives verdict, frame and time', async () => {
    const result = await net.run(({ xdp }) => {
      const program = xdp.XdpProgram.load(xdp.REDIRECT_ALL_BYTECODE);
      const { verdict, frame, durationNs } = program.testRun(new Uint8Array(64).fill(3), {
        repeat: 1000,
      });
      return { verdict, length: frame.length, first: frame[0], durationNs };
    });
    expect(result).toMatchObject({ verdict: 2, length: 64, first: 3 });
    expect(result.durationNs).toBeLessThan(100_000);
  });
});

describe('links', () => {
  test.each([
    ['auto', 'native'],
    ['native', 'native'],
    ['generic', 'generic'],
  ] as const)('%s comes out as %s, and goes with close', async (asked, expected) => {
    const result = await net.run(({ xdp }, mode) => {
      const program = xdp.XdpProgram.load(xdp.REDIRECT_ALL_BYTECODE);
      const link = program.attach('a0', mode);
      const attached = xdp.interfaceInfo('a0').xdp?.mode;
      link.close();
      link.close();
      return { mode: link.mode, attached, afterwards: xdp.interfaceInfo('a0').xdp };
    }, asked);
    expect(result).toEqual({ mode: expected, attached: expected, afterwards: null });
  });

  test('auto falls back to generic mode where native is refused, and says why', async () => {
    const result = await net.run(({ xdp, thrown }) => {
      const program = xdp.XdpProgram.load(xdp.REDIRECT_ALL_BYTECODE);
      const native = thrown(() => program.attach('big0', 'native'));
      const link = program.attach('big0');
      return { native, mode: link.mode, refusal: link.nativeRefusal?.code };
    });
    expect(result.native).toMatchObject({ code: 'ERANGE' });
    expect(result.native?.message).toMatch(/MTU of big0 \(9000\)/);
    expect(result).toMatchObject({ mode: 'generic', refusal: 'ERANGE' });
  });

  test('lo has no native mode: EOPNOTSUPP', async () => {
    const error = await net.run(({ xdp, thrown }) => {
      const program = xdp.XdpProgram.load(xdp.REDIRECT_ALL_BYTECODE);
      return thrown(() => program.attach('lo', 'native'));
    });
    expect(error).toMatchObject({ code: 'EOPNOTSUPP' });
    expect(error?.message).toMatch(/no native XDP; use mode 'auto' or 'generic'/);
  });

  test.each(['native', 'generic'] as const)(
    'a second program is refused with EBUSY that names the first (%s)',
    async (mode) => {
      const error = await net.run(({ xdp, thrown }, second) => {
        const program = xdp.XdpProgram.load(xdp.REDIRECT_ALL_BYTECODE);
        program.attach('a0', 'native');
        const other = xdp.XdpProgram.load(xdp.REDIRECT_ALL_BYTECODE);
        return thrown(() => other.attach('a0', second));
      }, mode);
      expect(error).toMatchObject({ code: 'EBUSY' });
      expect(error?.message).toMatch(/XDP program 'redirect_all' \(id \d+\) is already attached/);
    },
  );

  test('a process that is killed leaves nothing attached', async () => {
    const holder = net.start(async ({ xdp, Bench, sleep }) => {
      const bench = new Bench();
      bench.open('a0');
      xdp.XdpProgram.load(xdp.REDIRECT_ALL_BYTECODE).attach('a0');
      process.stdout.write('attached\n');
      await sleep(20_000);
    });
    await once(holder.stdout, 'data');
    const during = await net.run(({ xdp }) => xdp.interfaceInfo('a0').xdp?.mode ?? null);
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    const after = await net.run(async ({ xdp, Bench, until }) => {
      await until(() => xdp.interfaceInfo('a0').xdp === null, 'detaching');
      return new Bench().open('a0').socket.queue;
    });
    expect(during).toBe('native');
    expect(after).toBe(0);
  });
});
