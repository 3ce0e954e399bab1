// What one WASM instance (one worker) knows about linear memory. Everything here is set once by
// initialise() or once per turn by adopt(), and read-only to the rest of the data plane.

import {
  BANK_PORTS,
  BANK_SERVICE_COUNT,
  CONTROL_BANK_DESTINATIONS,
  CONTROL_BANK_LOCALS,
  CONTROL_BANK_LOCAL_POOL,
  CONTROL_BANK_MARKS,
  CONTROL_BANK_ROUTES,
  CONTROL_BANK_SERVICES,
  CONTROL_BANK_SERVICE_INDEX,
  CONTROL_CHAINS,
  CONTROL_CONNECTIONS,
  CONTROL_COUNTERS_STRIDE,
  CONTROL_GENERATION,
  CONTROL_HASH_SEED,
  CONTROL_REGION_BANK0,
  CONTROL_REGION_BANK1,
  CONTROL_REGION_CHAINS,
  CONTROL_REGION_COLD,
  CONTROL_REGION_COUNTERS,
  CONTROL_REGION_DESTINATION_STATE,
  CONTROL_REGION_HOT,
  CONTROL_REGION_NEXT_HOPS,
  CONTROL_REGION_SERVICE_STATE,
  CONTROL_REGION_SIDE,
  CONTROL_REGION_WIDE,
  CONTROL_REGION_WORKERS,
  CONTROL_ROUTE_GENERATION,
  CONTROL_SERVICES,
  CONTROL_SERVICE_INDEX_SLOTS,
  CONNECTION_COLD_SIZE,
  CONNECTION_HOT_SIZE,
  CONNECTION_WIDE_SIZE,
  COUNTERS_SERVICES,
  DESTINATION_SIZE,
  DESTINATION_STATE_SIZE,
  LOCAL_SIZE,
  NEXT_HOP_SIZE,
  PORT_SIZE,
  ROUTE_SIZE,
  SERVICE_SIZE,
  SERVICE_STATE_SIZE,
  SIDE_SIZE,
  STATS_SIZE,
  WORKER_FRAMES,
  WORKER_SEEN_GENERATION,
  WORKER_SIZE,
} from './shared/layout.ts';
import { LOCAL_SLOTS, ROUTE_SLOTS } from './shared/limits.ts';

/** This instance's number and its block. */
export let workerId: u32 = 0;
export let worker: usize = 0;
/** Start of this worker's UMEM: descriptor addresses count from here. */
export let frames: usize = 0;

/** The bank adopted at the start of the turn. */
export let bank: usize = 0;
export let services: usize = 0;
export let destinations: usize = 0;
export let serviceIndex: usize = 0;
export let locals: usize = 0;
export let localFilter: usize = 0;
export let routes: usize = 0;
export let routeFilter: usize = 0;
export let marks: usize = 0;
export let localPool: usize = 0;
/** Low 16 bits of the route generation: cached next hops of an older one are looked up again. */
export let routeGeneration: u32 = 0;

export let serviceIndexMask: u32 = 0;
export let chainMask: u32 = 0;
export let hashSeed: u32 = 0;
export let connectionsMax: u32 = 0;
export let serviceStates: usize = 0;
export let destinationStates: usize = 0;
export let nextHops: usize = 0;
export let sides: usize = 0;
export let chains: usize = 0;
export let hotBase: usize = 0;
export let coldBase: usize = 0;
export let wideBase: usize = 0;
export let counters: usize = 0;
export let serviceStats: usize = 0;
export let destinationStats: usize = 0;

/** The coarse clock, set once per turn: ticks since the director's start. */
export let now: u32 = 0;

/** Reads the control block. Called once, before the first turn. */
export function initialiseInstance(id: u32): void {
  workerId = id;
  worker = <usize>load<u32>(CONTROL_REGION_WORKERS) + <usize>id * WORKER_SIZE;
  frames = load<u32>(worker, WORKER_FRAMES);
  serviceIndexMask = load<u32>(CONTROL_SERVICE_INDEX_SLOTS) - 1;
  chainMask = load<u32>(CONTROL_CHAINS) - 1;
  hashSeed = load<u32>(CONTROL_HASH_SEED);
  connectionsMax = load<u32>(CONTROL_CONNECTIONS);
  serviceStates = load<u32>(CONTROL_REGION_SERVICE_STATE);
  destinationStates = load<u32>(CONTROL_REGION_DESTINATION_STATE);
  nextHops = load<u32>(CONTROL_REGION_NEXT_HOPS);
  sides = load<u32>(CONTROL_REGION_SIDE);
  chains = load<u32>(CONTROL_REGION_CHAINS);
  hotBase = load<u32>(CONTROL_REGION_HOT);
  coldBase = load<u32>(CONTROL_REGION_COLD);
  wideBase = load<u32>(CONTROL_REGION_WIDE);
  counters = <usize>load<u32>(CONTROL_REGION_COUNTERS) + <usize>id * <usize>load<u32>(CONTROL_COUNTERS_STRIDE);
  serviceStats = counters + COUNTERS_SERVICES;
  destinationStats = serviceStats + <usize>load<u32>(CONTROL_SERVICES) * STATS_SIZE;
  adopt();
}

/** Takes over the newest published bank. Called between two bursts, never inside one. */
export function adopt(): void {
  const generation = atomic.load<u32>(CONTROL_GENERATION);
  bank = generation & 1 ? load<u32>(CONTROL_REGION_BANK1) : load<u32>(CONTROL_REGION_BANK0);
  services = bank + load<u32>(CONTROL_BANK_SERVICES);
  destinations = bank + load<u32>(CONTROL_BANK_DESTINATIONS);
  serviceIndex = bank + load<u32>(CONTROL_BANK_SERVICE_INDEX);
  locals = bank + load<u32>(CONTROL_BANK_LOCALS);
  localFilter = locals + <usize>LOCAL_SLOTS * LOCAL_SIZE;
  routes = bank + load<u32>(CONTROL_BANK_ROUTES);
  routeFilter = routes + <usize>ROUTE_SLOTS * ROUTE_SIZE;
  marks = bank + load<u32>(CONTROL_BANK_MARKS);
  localPool = bank + load<u32>(CONTROL_BANK_LOCAL_POOL);
  routeGeneration = atomic.load<u32>(CONTROL_ROUTE_GENERATION) & 0xffff;
  atomic.store<u32>(worker + WORKER_SEEN_GENERATION, generation);
}

export function setClock(tick: u32): void {
  now = tick;
}

// @ts-ignore: decorator
@inline
export function hot(index: u32): usize {
  return hotBase + <usize>index * CONNECTION_HOT_SIZE;
}

// @ts-ignore: decorator
@inline
export function cold(index: u32): usize {
  return coldBase + <usize>index * CONNECTION_COLD_SIZE;
}

// @ts-ignore: decorator
@inline
export function wide(index: u32): usize {
  return wideBase + <usize>index * CONNECTION_WIDE_SIZE;
}

// @ts-ignore: decorator
@inline
export function service(id: u32): usize {
  return services + <usize>id * SERVICE_SIZE;
}

// @ts-ignore: decorator
@inline
export function serviceState(id: u32): usize {
  return serviceStates + <usize>id * SERVICE_STATE_SIZE;
}

// @ts-ignore: decorator
@inline
export function destination(id: u32): usize {
  return destinations + <usize>id * DESTINATION_SIZE;
}

// @ts-ignore: decorator
@inline
export function destinationState(id: u32): usize {
  return destinationStates + <usize>id * DESTINATION_STATE_SIZE;
}

// @ts-ignore: decorator
@inline
export function nextHop(index: u32): usize {
  return nextHops + <usize>index * NEXT_HOP_SIZE;
}

// @ts-ignore: decorator
@inline
export function side(index: u32): usize {
  return sides + <usize>index * SIDE_SIZE;
}

// @ts-ignore: decorator
@inline
export function port(index: u32): usize {
  return bank + BANK_PORTS + <usize>index * PORT_SIZE;
}

/** Generation of the tables that this worker has adopted. */
// @ts-ignore: decorator
@inline
export function tablesGeneration(): u32 {
  return load<u32>(worker, WORKER_SEEN_GENERATION);
}

/** Whether any service exists: without one IPVS looks at no packet (ipvs->enable). */
// @ts-ignore: decorator
@inline
export function enabled(): bool {
  return load<u32>(bank, BANK_SERVICE_COUNT) != 0;
}
