/** The published tables in words: what workers read, without the ids, which tell nothing. */

import * as layout from '../../assembly/shared/layout.ts';
import type { DataPlaneMemory } from '../../host/memory/data-plane-memory.ts';
import { schedulerByCode } from '../../host/scheduler/registry.ts';
import { formatAddress } from '../../host/tables/address-text.ts';
import { swapPort } from '../../host/tables/hash.ts';

/** A service's lines by its key. */
export type PublishedWords = Readonly<Record<string, readonly string[]>>;

/** Everything in the active bank, read from its bytes. */
export function publishedWords(memory: DataPlaneMemory): PublishedWords {
  const words: Record<string, readonly string[]> = { '': frameWords(memory) };
  const bank = memory.activeBank();
  for (let id = 1; id < memory.map.serviceRecords; id++) {
    const at = memory.service(bank, id);
    if (memory.u8[at + layout.SERVICE_FAMILY] === 0) continue;
    words[serviceKey(memory, at)] = serviceWords(memory, at);
  }
  return words;
}

/** Ids of services and their listed destinations, by what they are. */
export function publishedIds(memory: DataPlaneMemory): Map<string, number> {
  const ids = new Map<string, number>();
  const bank = memory.activeBank();
  for (let id = 1; id < memory.map.serviceRecords; id++) {
    const at = memory.service(bank, id);
    if (memory.u8[at + layout.SERVICE_FAMILY] === 0) continue;
    const key = serviceKey(memory, at);
    ids.set(key, id);
    for (const destination of listOf(memory, at)) {
      ids.set(`${key} -> ${endpointOf(memory, destination)}`, destination);
    }
  }
  return ids;
}

/** The bank's header (counts, timeouts, sysctls), and the rules that give marks. */
function frameWords(memory: DataPlaneMemory): string[] {
  const bank = memory.activeBank();
  const { u8, map } = memory;
  const header = u8.slice(bank + layout.BANK_SERVICE_COUNT, bank + layout.BANK_DIRECTOR_POOL);
  const marks = memory.u32[(bank + layout.BANK_MARK_COUNT) >>> 2];
  const rules = bank + map.bank.marks;
  return [
    Buffer.from(header).toString('base64'),
    Buffer.from(u8.slice(rules, rules + marks * layout.MARK_SIZE)).toString('base64'),
  ];
}

function serviceKey(memory: DataPlaneMemory, at: number): string {
  const { u8, u16, u32 } = memory;
  const mark = u32[(at + layout.SERVICE_MARK) >>> 2];
  const family = u8[at + layout.SERVICE_FAMILY];
  if (mark !== 0) return `mark ${mark} IPv${family}`;
  const address = formatAddress(u8, at + layout.SERVICE_ADDRESS, family === 4 ? 4 : 16);
  const port = swapPort(u16[(at + layout.SERVICE_PORT) >>> 1]);
  return `${u8[at + layout.SERVICE_PROTOCOL]} ${address} ${port}`;
}

function serviceWords(memory: DataPlaneMemory, at: number): string[] {
  const { u8, u32 } = memory;
  const word = (field: number) => u32[(at + field) >>> 2];
  const slots = word(layout.SERVICE_SCHEDULER_SLOTS);
  const table = (memory.activeBank() + word(layout.SERVICE_SCHEDULER_TABLE)) >>> 2;
  const scheduler = schedulerByCode(u8[at + layout.SERVICE_SCHEDULER])?.name ?? 'none';
  const names = new Map(listOf(memory, at).map((id) => [id, endpointOf(memory, id)]));
  return [
    scheduler,
    `flags ${word(layout.SERVICE_FLAGS)}`,
    `persistence ${word(layout.SERVICE_PERSISTENCE_TICKS)} ${word(layout.SERVICE_PERSISTENCE_MASK)}`,
    ...listOf(memory, at).map((id) => destinationWords(memory, id)),
    ...Array.from({ length: slots }, (_, slot) => names.get(u32[table + slot]) ?? 'nobody'),
  ];
}

/** Ids of a service's destinations, in the order in which schedulers see them. */
function listOf(memory: DataPlaneMemory, at: number): number[] {
  const { u32 } = memory;
  const count = u32[(at + layout.SERVICE_DESTINATION_COUNT) >>> 2];
  const list = (memory.activeBank() + u32[(at + layout.SERVICE_DESTINATION_LIST) >>> 2]) >>> 2;
  return Array.from(u32.subarray(list, list + count));
}

function endpointOf(memory: DataPlaneMemory, id: number): string {
  const at = memory.destination(memory.activeBank(), id);
  const family = memory.u8[at + layout.DESTINATION_FAMILY];
  const address = formatAddress(memory.u8, at + layout.DESTINATION_ADDRESS, family === 4 ? 4 : 16);
  return `${address} ${swapPort(memory.u16[(at + layout.DESTINATION_PORT) >>> 1])}`;
}

function destinationWords(memory: DataPlaneMemory, id: number): string {
  const { u8, u32, i32 } = memory;
  const at = memory.destination(memory.activeBank(), id);
  const word = (field: number) => u32[(at + field) >>> 2];
  return [
    endpointOf(memory, id),
    `weight ${i32[(at + layout.DESTINATION_WEIGHT) >>> 2]}`,
    `method ${u8[at + layout.DESTINATION_FORWARDING]}`,
    `tunnel ${u8[at + layout.DESTINATION_TUNNEL_TYPE]} ${u8[at + layout.DESTINATION_TUNNEL_FLAGS]}`,
    `thresholds ${word(layout.DESTINATION_UPPER_THRESHOLD)} ${word(layout.DESTINATION_LOWER_THRESHOLD)}`,
  ].join(', ');
}
