import { expect, test } from 'vitest';
import { SCHEDULER_RR, SERVICE_HASHED } from '../../../../assembly/shared/codes.ts';
import { WORKER_SEEN_GENERATION } from '../../../../assembly/shared/layout.ts';
import { DataPlaneMemory } from '../../../../host/memory/data-plane-memory.ts';
import { PublishedTables } from '../../../../host/tables/publish.ts';
import type { DestinationRow, ServiceRow } from '../../../../host/tables/rows.ts';
import { createSchedule } from '../../../../host/worker/schedule.ts';

const VIP = Uint8Array.of(192, 0, 2, 80);

function service(scheduler: number, destinations: number[]): ServiceRow {
  return {
    id: 1,
    family: 4,
    protocol: 6,
    port: 80,
    mark: 0,
    address: VIP,
    scheduler,
    flags: SERVICE_HASHED,
    persistenceTicks: 0,
    persistenceMask: 0xffffffff,
    destinations,
    schedulerTable: undefined,
  };
}

function destination(id: number): DestinationRow {
  return {
    id,
    family: 4,
    forwarding: 0,
    tunnelType: 0,
    tunnelFlags: 0,
    tunnelPort: 0,
    port: 80,
    weight: 1,
    lastWeight: 1,
    upperThreshold: 0,
    lowerThreshold: 0,
    serviceId: 1,
    protocol: 6,
    virtualPort: 80,
    virtualAddress: VIP,
    address: Uint8Array.of(10, 0, 0, id),
  };
}

test('the tables of the generation that the worker has adopted, not the newest', () => {
  const memory = DataPlaneMemory.create({ connections: 64, services: 8, destinations: 8 });
  const tables = new PublishedTables(memory);
  const schedule = createSchedule(memory, 0);
  const adopt = () => {
    memory.u32[(memory.worker(0) + WORKER_SEEN_GENERATION) >>> 2] = memory.generation();
  };
  for (const id of [1, 2]) tables.setDestination(destination(id));
  tables.setService(service(SCHEDULER_RR, [1]));
  tables.publish();
  expect(schedule(1, 0)).toBe(0);
  adopt();
  expect(schedule(1, 0)).toBe(1);
  tables.setService(service(SCHEDULER_RR, [2]));
  tables.publish();
  expect(schedule(1, 0)).toBe(1);
  adopt();
  expect(schedule(1, 0)).toBe(2);
});

test('a service without a scheduler: no destination', () => {
  const memory = DataPlaneMemory.create({ connections: 64, services: 8, destinations: 8 });
  const tables = new PublishedTables(memory);
  tables.setDestination(destination(1));
  tables.setService(service(0, [1]));
  tables.publish();
  memory.u32[(memory.worker(0) + WORKER_SEEN_GENERATION) >>> 2] = memory.generation();
  expect(createSchedule(memory, 0)(1, 0)).toBe(0);
});
