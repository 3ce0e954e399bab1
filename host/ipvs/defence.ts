// The defence against running out of memory: drop_entry, drop_packet and secure_tcp, each with the
// modes 0 off, 1 off until memory is short, 2 on until it no longer is, 3 on. Modes 1 and 2 turn into
// each other. Looked at every second and when a mode is written. Linux: update_defense_level().

import type { Sysctls } from './sysctls.ts';

/** What the defence has switched on. */
export interface DefenceState {
  /** Connections are to be dropped at random, once a second. */
  readonly dropsEntries: boolean;
  /** One of so many new packets is to be dropped; 0 for none. */
  readonly dropRate: number;
  /** Whether the packet counter starts again from the rate. */
  readonly restartsCounter: boolean;
  /** Whether TCP goes by the stricter state table. */
  readonly securesTcp: boolean;
}

/**
 * Moves the modes on and says what follows from them.
 * @param availablePages free memory, in pages of 4 KiB
 */
export function updateDefence(sysctls: Sysctls, availablePages: number): DefenceState {
  const threshold = sysctls.number('amemthresh');
  const isShort = availablePages < threshold;
  const entry = moveMode(sysctls, 'drop_entry', isShort);
  const packet = moveMode(sysctls, 'drop_packet', isShort);
  const tcp = moveMode(sysctls, 'secure_tcp', isShort);
  const restartsCounter = packet === 2;
  return {
    dropsEntries: entry >= 2,
    dropRate: dropRate(sysctls, packet, threshold, availablePages),
    restartsCounter,
    securesTcp: tcp >= 2,
  };
}

/** Turns 1 into 2 when memory is short, and back when it is not; returns the mode. */
function moveMode(sysctls: Sysctls, name: string, isShort: boolean): number {
  const mode = sysctls.number(name);
  if (mode !== 1 && mode !== 2) return mode;
  const moved = isShort ? 2 : 1;
  if (moved !== mode) sysctls.setNumber(name, moved);
  return moved;
}

function dropRate(
  sysctls: Sysctls,
  mode: number,
  threshold: number,
  availablePages: number,
): number {
  if (mode === 3) return sysctls.number('am_droprate');
  if (mode !== 2) return 0;
  return Math.trunc(threshold / (threshold - availablePages));
}
