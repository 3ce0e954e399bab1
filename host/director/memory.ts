// The linear memory of a running director: sized from its configuration, and backed by a file in
// memory, so that a child process does not copy frames the kernel has pinned.

import { adviseHugePages, mapSharedMemory, type SharedMemory } from 'af-xdp-socket';
import { MAGLEV_SLOTS } from '../../assembly/shared/limits.ts';
import type { Config } from '../config/types.ts';
import type { Logger } from '../log.ts';
import { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import { DEFAULT_SIZES, MemorySizeError, type MemorySizes } from '../memory/memory-map.ts';
import { StartError, sentenceOf } from './start-error.ts';

/** Entries of each ring. A worker with many links has smaller ones, to bound its memory. */
const RING_ENTRIES = 2048;
const RING_ENTRIES_OF_MANY = 1024;
const MANY_LINKS = 8;
/** Frames for one link: its fill ring full, and as many received or on their way out. */
const FRAMES_PER_RING_ENTRY = 2;
/** What a configuration has now may double before the director has to be started again. */
const GROWTH = 2;

/** The sizes that fit a configuration. */
export function chooseSizes(
  config: Config,
  counts: { readonly workers: number; readonly links: number },
): MemorySizes {
  const { workers, links } = counts;
  const servers = config.services.reduce((sum, service) => sum + service.servers.length, 0);
  const maglevs = config.services.filter(({ scheduler }) => scheduler === 'mh').length;
  const ringEntries = links > MANY_LINKS ? RING_ENTRIES_OF_MANY : RING_ENTRIES;
  return {
    ...DEFAULT_SIZES,
    connections: config.director.connections,
    services: Math.max(DEFAULT_SIZES.services, GROWTH * config.services.length),
    destinations: Math.max(DEFAULT_SIZES.destinations, GROWTH * servers),
    schedulerTableBytes: Math.max(
      DEFAULT_SIZES.schedulerTableBytes,
      GROWTH * maglevs * MAGLEV_SLOTS * 4,
    ),
    workers,
    links,
    ringEntries,
    framesPerWorker: links * ringEntries * FRAMES_PER_RING_ENTRY,
  };
}

/**
 * Reserves and initialises the memory.
 * @throws StartError
 */
export function createMemory(
  sizes: MemorySizes,
  log: Logger,
): { memory: DataPlaneMemory; file: SharedMemory } {
  try {
    const memory = DataPlaneMemory.reserve(sizes);
    const file = mapSharedMemory(memory.u8, { name: 'wvs' });
    adviseHuge(memory, log);
    const [hashSeed, randomSeed] = crypto.getRandomValues(new Uint32Array(2));
    memory.initialise({ hashSeed, randomSeed });
    return { memory, file };
  } catch (error) {
    if (error instanceof MemorySizeError) throw new StartError(error.message, { cause: error });
    throw new StartError(`the data plane's memory cannot be had: ${sentenceOf(error)}`, {
      cause: error,
    });
  }
}

/** Huge pages make lookups in large tables cheaper; without them everything works all the same. */
function adviseHuge(memory: DataPlaneMemory, log: Logger): void {
  try {
    adviseHugePages(memory.u8);
  } catch (error) {
    log.debug({ event: 'no-huge-pages', reason: sentenceOf(error) });
  }
}
