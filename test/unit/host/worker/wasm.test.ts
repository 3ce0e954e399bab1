import { expect, test } from 'vitest';
import { DataPlaneMemory } from '../../../../host/memory/data-plane-memory.ts';
import {
  compileWasm,
  instantiateWasm,
  type WasmBuild,
  WasmError,
} from '../../../../host/worker/wasm.ts';

/** A module that is valid and exports nothing. */
const EMPTY = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);

for (const build of ['release', 'debug'] as const) {
  test(`the ${build} build on laid out memory: a worker that turns and rests`, async () => {
    const memory = DataPlaneMemory.create({ connections: 64, services: 8, destinations: 8 });
    const module = await compileWasm(build);
    const dataPlane = instantiateWasm(module, memory.memory, () => 0);
    expect(dataPlane.initialise(0)).toBeTruthy();
    expect(dataPlane.turn(1, 10)).toBe(0);
    dataPlane.rest();
  });
}

test('memory that is not laid out: the module refuses it', async () => {
  const memory = DataPlaneMemory.reserve({ connections: 64, services: 8, destinations: 8 });
  const dataPlane = instantiateWasm(await compileWasm('release'), memory.memory, () => 0);
  expect(dataPlane.initialise(0)).toBeFalsy();
});

test('a build that does not exist: says what to run', async () => {
  await expect(compileWasm('nothing' as WasmBuild)).rejects.toThrow(/npm run build/);
});

test('a module without our functions: refused', () => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const module = new WebAssembly.Module(EMPTY);
  expect(() => instantiateWasm(module, memory, () => 0)).toThrow(WasmError);
});
