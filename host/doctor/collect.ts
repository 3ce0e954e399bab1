/**
 * Finds all facts out. What needs the addon is imported only when the addon loads, so that doctor
 * can still say why it does not.
 */

import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/types.ts';
import { DEFAULT_SOCKET } from '../control/api.ts';
import { askDirector, ControlClientError } from '../control/client.ts';
import { collectMachine } from './collect-machine.ts';
import type {
  ConfigurationFacts,
  DirectorFacts,
  Facts,
  NetworkFacts,
  PlanFacts,
  PortFacts,
} from './facts.ts';
import { SYSTEM, type System } from './system.ts';

/** What doctor is asked to look at. */
export interface CollectOptions {
  readonly config?: string | undefined;
  /** Where a director may run; by default where the configuration says. */
  readonly socket?: string | undefined;
  readonly system?: System;
}

/** All facts. */
export async function collectFacts(options: CollectOptions): Promise<Facts> {
  const system = options.system ?? SYSTEM;
  const configuration =
    options.config === undefined ? undefined : await collectConfiguration(options.config);
  const config = configuration?.config;
  const machine = await collectMachine(system);
  const hasAddon = machine.addon.error === undefined;
  const ports = hasAddon ? await collectPorts(config, system) : [];
  return {
    machine,
    configuration,
    ports,
    network: hasAddon ? await collectNetwork(ports, config, system) : undefined,
    plan: hasAddon && config !== undefined ? await collectPlan(config) : undefined,
    director: await collectDirector(options.socket ?? config?.director.control ?? DEFAULT_SOCKET),
  };
}

async function collectConfiguration(file: string): Promise<ConfigurationFacts> {
  const result = await loadConfig(file);
  if (result.ok) return { file, config: result.config, errors: 0 };
  return { file, config: undefined, errors: result.errors.length };
}

async function collectPorts(config: Config | undefined, system: System): Promise<PortFacts[]> {
  const collector = await import('./collect-ports.ts');
  return collector.collectPorts(config, system);
}

/** Without rtnetlink there is nothing to say about the network, but still about the rest. */
async function collectNetwork(
  ports: readonly PortFacts[],
  config: Config | undefined,
  system: System,
): Promise<NetworkFacts | undefined> {
  const collector = await import('./collect-network.ts');
  try {
    return await collector.collectNetwork(ports, config, system);
  } catch {
    return undefined;
  }
}

/** What the director would reserve; nothing when it would not even start. */
async function collectPlan(config: Config): Promise<PlanFacts | undefined> {
  const { countWorkers, dealQueues, resolvePorts } = await import('../director/ports.ts');
  const { chooseSizes } = await import('../director/memory.ts');
  const { planMemory } = await import('../memory/memory-map.ts');
  const { FRAME_SIZE } = await import('../../assembly/shared/limits.ts');
  try {
    const ports = resolvePorts(config.director);
    const workers = countWorkers(config.director, ports);
    const links = Math.max(...dealQueues(ports, workers).map(({ length }) => length));
    const map = planMemory(chooseSizes(config, { workers, links }));
    const pinnedBytes = map.sizes.framesPerWorker * workers * FRAME_SIZE;
    return { workers, memoryBytes: map.end, pinnedBytes };
  } catch {
    return undefined;
  }
}

async function collectDirector(socket: string): Promise<DirectorFacts> {
  try {
    const { pid } = await askDirector(socket, 'status');
    return { socket, pid, isAnswered: true };
  } catch (error) {
    const isThere = error instanceof ControlClientError && error.code !== 'no-director';
    return { socket, pid: undefined, isAnswered: isThere };
  }
}
