/**
 * Instantiates the data plane's WASM builds over a shared memory for tests. `debug` and `release`
 * are the real module; `probe-debug` and `probe-release` come from assembly/probe.ts and export
 * the inner functions too. A build that is older than its sources is made anew first.
 */

import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SOURCES = join(ROOT, 'assembly');
const CONFIGURATION = join(ROOT, 'asconfig.json');
const COMPILER = join(ROOT, 'node_modules/assemblyscript/bin/asc.js');
const PAGE_BYTES = 65536;

/** A module's name: build/wasm/NAME.wasm. */
export type BuildName = 'debug' | 'release' | 'probe-debug' | 'probe-release';

/** Every test of the inner functions runs on both. */
export const PROBE_BUILDS = ['probe-debug', 'probe-release'] as const satisfies BuildName[];

/** What an exported function takes and gives: u64 crosses the border as a bigint. */
export type WasmFunction = (...values: (number | bigint)[]) => number | bigint | undefined;

/** The functions that a module imports besides its memory, by module and name. */
export type WasmImports = Record<string, Record<string, WasmFunction>>;

/** A memory that only a test uses; nothing in it is laid out. */
export function createPlainMemory(pages = 16): WebAssembly.Memory {
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
}

/** One instance of a build, and the bytes of the memory it works on. */
export class WasmInstance {
  readonly memory: WebAssembly.Memory;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly #exports: WebAssembly.Exports;

  constructor(instance: WebAssembly.Instance, memory: WebAssembly.Memory) {
    this.memory = memory;
    this.bytes = new Uint8Array(memory.buffer);
    this.view = new DataView(memory.buffer);
    this.#exports = instance.exports;
  }

  /** Calls an export whose result fits in 32 bits; it comes back unsigned, 0 for none. */
  call(name: string, ...values: (number | bigint)[]): number {
    return Number(this.#function(name)(...values) ?? 0) >>> 0;
  }

  /** Calls an export whose result has 64 bits; it comes back unsigned. */
  callWide(name: string, ...values: (number | bigint)[]): bigint {
    return BigInt.asUintN(64, BigInt(this.#function(name)(...values) ?? 0));
  }

  /** The value of an exported constant, unsigned. */
  constant(name: string): number {
    const global = this.#exports[name];
    if (!(global instanceof WebAssembly.Global)) throw new Error(`no constant ${name}`);
    return Number(global.value) >>> 0;
  }

  /** Writes bytes into the memory. */
  put(at: number, bytes: Uint8Array): void {
    this.bytes.set(bytes, at);
  }

  /** A copy of bytes of the memory. */
  take(at: number, length: number): Uint8Array {
    return Uint8Array.from(this.bytes.subarray(at, at + length));
  }

  #function(name: string): WasmFunction {
    const found = this.#exports[name];
    if (typeof found !== 'function') throw new Error(`no function ${name}`);
    return found as WasmFunction;
  }
}

/** Instantiates a build over `memory`: a plain one, or a DataPlaneMemory's. */
export async function instantiate(
  name: BuildName,
  memory: WebAssembly.Memory = createPlainMemory(),
  imports: WasmImports = {},
): Promise<WasmInstance> {
  const module = await WebAssembly.compile(readFileSync(freshBuild(name)));
  const host = { schedule: () => 0 };
  const env = { memory, abort: throwAbort, ...imports.env };
  const instance = await WebAssembly.instantiate(module, { host, ...imports, env });
  return new WasmInstance(instance, memory);
}

/** A failed assertion of the debug build; the message lies in memory as UTF-16. */
function throwAbort(message: unknown, file: unknown, line: unknown, column: unknown): never {
  throw new Error(
    `abort at ${String(line)}:${String(column)} (${String(file)}, ${String(message)})`,
  );
}

/** Compiles `name` unless it is newer than all its sources. Answers its path. */
export function freshBuild(name: BuildName): string {
  const path = join(ROOT, `build/wasm/${name}.wasm`);
  if (!existsSync(path) || statSync(path).mtimeMs < newestSource()) compile(name, path);
  return path;
}

function newestSource(): number {
  const sources = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => join(SOURCES, file));
  const files = [...sources, CONFIGURATION];
  return Math.max(...files.map((file) => statSync(file).mtimeMs));
}

/** In a folder of its own first: several test processes may find the same build stale at once. */
function compile(name: BuildName, path: string): void {
  const entry = name.startsWith('probe-') ? 'assembly/probe.ts' : 'assembly/index.ts';
  const target = name.replace('probe-', '');
  const started = Date.now() / 1000;
  const folder = join(dirname(path), `${name}.${process.pid}`);
  const temporary = join(folder, basename(path));
  mkdirSync(folder, { recursive: true });
  const options = [entry, '--target', target, '--outFile', temporary];
  const run = spawnSync(process.execPath, [COMPILER, ...options], { cwd: ROOT, encoding: 'utf8' });
  if (run.status !== 0) {
    rmSync(folder, { recursive: true });
    throw new Error(`asc ${name}:\n${run.stdout}${run.stderr}`);
  }
  utimesSync(temporary, started, started);
  for (const file of readdirSync(folder)) renameSync(join(folder, file), join(dirname(path), file));
  rmSync(folder, { recursive: true });
}

/** Bytes of so many WASM pages. */
export function pageBytes(pages: number): number {
  return pages * PAGE_BYTES;
}
