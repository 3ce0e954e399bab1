// Backing and advice for linear memory.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Namespace, removeNamespacesAfterwards, skipUnlessPossible } from './namespace.ts';

const possible = skipUnlessPossible();
removeNamespacesAfterwards();

let net: Namespace;
let folder: string;
beforeAll(() => {
  if (!possible) return;
  net = new Namespace([{ left: 'a0', right: 'b0' }]);
  folder = mkdtempSync('/dev/shm/af-xdp-socket-');
});
afterAll(() => {
  if (possible) rmSync(folder, { recursive: true });
});

test('a file behind the memory keeps its content, and is found by the next process', async () => {
  const path = join(folder, 'memory');
  const write = ({ xdp }: { xdp: typeof import('af-xdp-socket') }, file: string) => {
    const wasm = new WebAssembly.Memory({ initial: 2, maximum: 2, shared: true });
    const bytes = new Uint8Array(wasm.buffer);
    const shared = xdp.mapSharedMemory(bytes, { path: file });
    const before = bytes[5000];
    bytes[5000] = 42;
    const { size } = shared;
    shared.close();
    shared.close();
    bytes[5001] = 43;
    return { before, size };
  };
  expect(await net.run(write, path)).toEqual({ before: 0, size: 131072 });
  expect(Array.from(readFileSync(path).subarray(5000, 5002))).toEqual([42, 43]);
  expect(await net.run(write, path)).toEqual({ before: 42, size: 131072 });
});

test('memory on a file serves as umem, with rings in it', async () => {
  const result = await net.run(
    ({ xdp, Bench }, path) => {
      const bench = new Bench({ back: (view) => xdp.mapSharedMemory(view, { path }) });
      const a = bench.open('a0');
      const rings = Object.keys(a.socket.rings);
      a.socket.close();
      return rings;
    },
    join(folder, 'umem'),
  );
  expect(result).toEqual(['fill', 'completion', 'rx', 'tx']);
});

test('part of a file can be mapped over part of a memory', async () => {
  const result = await net.run(({ xdp }) => {
    const wasm = new WebAssembly.Memory({ initial: 4, maximum: 4, shared: true });
    const bytes = new Uint8Array(wasm.buffer);
    bytes.fill(1);
    const first = xdp.mapSharedMemory(bytes.subarray(0, 65536), { name: 'part' });
    bytes[100] = 77;
    xdp.mapSharedMemory(bytes.subarray(65536, 131072), { fd: first.fd });
    return { same: bytes[65536 + 100], untouched: bytes[131072] };
  });
  expect(result).toEqual({ same: 77, untouched: 1 });
});

test('advice is taken, also about a few bytes', async () => {
  await net.run(({ xdp }) => {
    const wasm = new WebAssembly.Memory({ initial: 64, maximum: 64, shared: true });
    const bytes = new Uint8Array(wasm.buffer);
    xdp.adviseHugePages(bytes);
    xdp.adviseDontFork(bytes);
    xdp.adviseDontFork(bytes.subarray(10, 20));
  });
});

test('a child process does not get memory that is not for forks', async () => {
  const flags = await net.run(({ xdp }) => {
    const { readFileSync: read } = process.getBuiltinModule('node:fs');
    const wasm = new WebAssembly.Memory({ initial: 64, maximum: 64, shared: true });
    xdp.adviseDontFork(new Uint8Array(wasm.buffer));
    return /VmFlags:.* dc /.test(read('/proc/self/smaps', 'utf8'));
  });
  expect(flags).toBe(true);
});
