// The data plane's WebAssembly module: found, compiled once, instantiated by every worker.

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  CONTROL_SIZE,
  LAYOUT_VERSION,
  MAGIC,
  PACKET_SIZE,
  WORKER_SIZE,
} from '../../assembly/shared/layout.ts';

/** Which build to run: release, or debug with its assertions. */
export type WasmBuild = 'release' | 'debug';

/** What the host calls. */
export interface DataPlane {
  /** Reads the control block; called once, before the first turn. @returns 0: not this layout */
  initialise(worker: number): number;
  /**
   * One turn over all links of the worker.
   * @param tick units of 10 ms since the director's start, modulo 2^32
   * @param milliseconds since the director's start, modulo 2^32
   * @returns packets handled
   */
  turn(tick: number, milliseconds: number): number;
  /**
   * Runs all timers up to and including a tick, however many: a turn runs a limited number and
   * leaves the rest for the next ones, as packets wait.
   */
  runTimers(tick: number): void;
  /** The worker holds no reference any more: called before it sleeps. */
  rest(): void;
}

/** Chooses a destination for a packet's new connection: destination id, or 0. */
export type ScheduleFunction = (service: number, packet: number) => number;

/** The module is missing or is not what this code was built with. */
export class WasmError extends Error {
  readonly code = 'WASM';

  constructor(message: string) {
    super(message);
    this.name = 'WasmError';
  }
}

const FUNCTIONS = ['initialise', 'turn', 'runTimers', 'rest'] as const;

/** Where a build's module is: below the package's root, whether this file runs as it is or built. */
export function wasmPath(build: WasmBuild): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, 'package.json'))) directory = dirname(directory);
  return join(directory, 'build/wasm', `${build}.wasm`);
}

/**
 * Reads and compiles the module.
 * @throws WasmError when it was not built
 */
export async function compileWasm(build: WasmBuild): Promise<WebAssembly.Module> {
  const path = wasmPath(build);
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = new Uint8Array(await readFile(path));
  } catch {
    throw new WasmError(`${path} cannot be read: run npm run build`);
  }
  return await WebAssembly.compile(bytes);
}

/**
 * Instantiates the module on shared memory.
 * @throws WasmError when it is of another layout
 */
export function instantiateWasm(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  schedule: ScheduleFunction,
): DataPlane {
  const { exports } = new WebAssembly.Instance(module, {
    env: { memory, abort: createAbort(memory) },
    host: { schedule },
  });
  for (const name of FUNCTIONS) {
    if (typeof exports[name] === 'function') continue;
    throw new WasmError(`the WebAssembly module has no function ${name}: run npm run build`);
  }
  checkLayout(exports);
  return exports as unknown as DataPlane;
}

/** Numbers of the layout that the module exports as it was built with them. */
const LAYOUT_NUMBERS: Readonly<Record<string, number>> = {
  layoutMagic: MAGIC,
  layoutVersion: LAYOUT_VERSION,
  layoutWorkerSize: WORKER_SIZE,
  layoutPacketSize: PACKET_SIZE,
  layoutControlSize: CONTROL_SIZE,
};

/** A module left over from another build would write over what it does not know. */
function checkLayout(exports: WebAssembly.Exports): void {
  for (const [name, expected] of Object.entries(LAYOUT_NUMBERS)) {
    const exported = exports[name];
    const value: unknown = exported instanceof WebAssembly.Global ? exported.value : undefined;
    if (value === expected) continue;
    throw new WasmError(
      `the WebAssembly module has ${name} ${String(value)}, ` +
        `the host ${expected}: run npm run build`,
    );
  }
}

/** What a debug build calls when an assertion fails. */
function createAbort(memory: WebAssembly.Memory) {
  return (message: number, file: number, line: number, column: number): never => {
    const text = (at: number) => readAssemblyScriptString(memory, at);
    throw new WebAssembly.RuntimeError(
      `${text(message) || 'assertion failed'} at ${text(file)}:${line}:${column}`,
    );
  };
}

/** A string constant of AssemblyScript: UTF-16, its bytes' number in the four bytes before it. */
function readAssemblyScriptString(memory: WebAssembly.Memory, at: number): string {
  const start = at >>> 0;
  if (start < 4) return '';
  const view = new DataView(memory.buffer);
  const length = view.getUint32(start - 4, true);
  let text = '';
  for (let offset = 0; offset < length; offset += 2) {
    text += String.fromCharCode(view.getUint16(start + offset, true));
  }
  return text;
}
