/** A running configuration over a control core and its tables, under a clock that tests move. */

import { DESTINATION_STATE_ACTIVE } from '../../assembly/shared/layout.ts';
import type { ConfigResult } from '../../host/config/parse.ts';
import type { Config } from '../../host/config/types.ts';
import type { ReloadResult } from '../../host/control/api.ts';
import { RunningConfig } from '../../host/director/reload.ts';
import { Control } from '../../host/ipvs/control.ts';
import { createLogger } from '../../host/log.ts';
import { DataPlaneMemory } from '../../host/memory/data-plane-memory.ts';
import { schedulerByName } from '../../host/scheduler/registry.ts';
import { PublishedTables } from '../../host/tables/publish.ts';

/** Longer than any deadline of a drain. */
const DRAINED_MS = 8 * 86_400_000;

export interface ReloadBench {
  readonly memory: DataPlaneMemory;
  readonly control: Control;
  readonly running: RunningConfig;
  /** Takes over what `load` answers next. */
  reload(result: ConfigResult): Promise<ReloadResult>;
  /** What a reload would do. */
  plan(result: ConfigResult): Promise<ReloadResult>;
  /** Lets time pass until all that drains is gone. */
  drain(): void;
  /** Moves the clock of the drains and looks at them once. */
  pass(milliseconds: number): void;
  /** Gives a destination connections, or takes them. */
  connect(destinationId: number, active: number): void;
}

/** Starts with a configuration. */
export function reloadBench(config: Config): ReloadBench {
  const sizes = { connections: 64, services: 32, destinations: 256 };
  const memory = DataPlaneMemory.create({ ...sizes, schedulerTableBytes: 1 << 21 });
  const running: { current: RunningConfig | undefined } = { current: undefined };
  const control = new Control({
    tables: new PublishedTables(memory),
    schedulerByName,
    onChange: (change) => running.current?.noteChange(change),
  });
  let now = 0;
  let next: ConfigResult = { ok: true, config, warnings: [] };
  const current = new RunningConfig(config, {
    context: { control, ephemeralPorts: [32_768, 60_999] },
    log: createLogger({ level: 'silent' }),
    load: async () => next,
    now: () => now,
  });
  running.current = current;
  current.applyAll();
  const pass = (milliseconds: number) => {
    now += milliseconds;
    current.tick();
  };
  return {
    memory,
    control,
    running: current,
    reload: (result) => {
      next = result;
      return current.reload();
    },
    plan: (result) => {
      next = result;
      return current.plan();
    },
    drain: () => pass(DRAINED_MS),
    pass,
    connect: (id, active) => {
      memory.u32[(memory.destinationState(id) + DESTINATION_STATE_ACTIVE) >>> 2] = active;
    },
  };
}
