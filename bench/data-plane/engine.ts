// Who plays a worker's turns: an instance of the WebAssembly module, or the C twin. Both work on the
// same memory and leave the same bytes, so they can take turns on one rig.

import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { sourceRoot } from '../../host/netns/processes.ts';
import type { DataPlane } from '../../host/worker/wasm.ts';
import type { WorkerRings } from './rings.ts';

/** Some turns with the harness between them. */
export interface Turns {
  readonly rings: WorkerRings;
  /** Link that receives. */
  readonly link: number;
  /** Frames received before each turn. */
  readonly burst: number;
  readonly turns: number;
  readonly tick: number;
}

/** Something that can play a worker. */
export interface Engine {
  readonly name: string;
  /** @throws Error when packets were not handled as a hit where the engine knows only hits */
  run(turns: Turns): void;
}

const TICK_MS = 10;

/** An engine from an instance of the module. */
export function wasmEngine(dataPlane: DataPlane, name = 'wasm'): Engine {
  return {
    name,
    run({ rings, link, burst, turns, tick }) {
      const milliseconds = tick * TICK_MS;
      for (let turn = 0; turn < turns; turn++) {
        rings.receive(link, burst);
        dataPlane.turn(tick, milliseconds);
        rings.send();
      }
    },
  };
}

interface TwinAddon {
  run(
    memory: Uint8Array,
    worker: number,
    link: number,
    burst: number,
    turns: number,
    tick: number,
    milliseconds: number,
  ): number;
}

/** What the twin's compiler said when it could not be built. */
export class TwinError extends Error {
  readonly code = 'TWIN';
}

/**
 * Builds the twin when it is older than its sources, and loads it.
 * @throws TwinError when there is no C compiler, or it does not compile
 */
export function twinEngine(): Engine {
  const directory = join(sourceRoot(), 'bench/twin');
  const make = spawnSync('make', ['-s', '-C', directory], { encoding: 'utf8' });
  if (make.status !== 0) {
    throw new TwinError(`the C twin cannot be built: ${make.stderr || String(make.error)}`);
  }
  const require = createRequire(import.meta.url);
  const addon = require(join(directory, 'build/twin.node')) as TwinAddon;
  return {
    name: 'twin',
    run({ rings, link, burst, turns, tick }) {
      const { memory, worker } = rings;
      const refused = addon.run(memory.u8, worker, link, burst, turns, tick, tick * TICK_MS);
      if (refused > 0) throw new TwinError(`the twin refused ${refused} packets: they are no hits`);
    },
  };
}
