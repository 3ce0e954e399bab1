// The compiled steering program, and the constants it shares with the code that fills its maps.

import { readFileSync } from 'node:fs';

export const bytecode = JSON.parse(
  readFileSync(new URL('../bpf/steering.bytecode.json', import.meta.url), 'utf8'),
);

export const { constants } = bytecode;

export const STEERING_OUTCOMES = Object.freeze(bytecode.outcomes);
export const STEERING_PORTS_MAX = constants.PORTS_MAX;
export const STEERING_QUEUES_MAX = constants.QUEUES_MAX;
export const STEERING_MARK_RULES_MAX = constants.MARK_RULES_MAX;
export const STEERING_FULL_NAT_RANGES_MAX = constants.FULL_NAT_RANGES_MAX;

/** By map name: { keyLength, valueLength, ... }. */
export const mapDefinitions = Object.fromEntries(bytecode.maps.map((map) => [map.name, map]));
