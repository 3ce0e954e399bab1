// net.ipv4.vs.*: names, defaults and what may be written, as ip_vs_control_net_init_sysctl() and the
// proc handlers have it. Values are kept as sysctl(8) shows them.

import {
  SYSCTL_AM_DROPRATE,
  SYSCTL_BACKUP_ONLY,
  SYSCTL_CACHE_BYPASS,
  SYSCTL_CONN_REUSE_MODE,
  SYSCTL_CONNTRACK,
  SYSCTL_DROP_ENTRY,
  SYSCTL_DROP_PACKET,
  SYSCTL_EXPIRE_NODEST_CONN,
  SYSCTL_EXPIRE_QUIESCENT_TEMPLATE,
  SYSCTL_IGNORE_TUNNELED,
  SYSCTL_LBLC_EXPIRATION,
  SYSCTL_LBLCR_EXPIRATION,
  SYSCTL_NAT_ICMP_SEND,
  SYSCTL_PMTU_DISC,
  SYSCTL_SCHEDULE_ICMP,
  SYSCTL_SLOPPY_SCTP,
  SYSCTL_SLOPPY_TCP,
} from '../../assembly/shared/layout.ts';
import { TICKS_PER_SECOND } from '../../assembly/shared/limits.ts';
import { IpvsError } from './types.ts';

const INT_MAX = 2 ** 31 - 1;
const INT_MIN = -(2 ** 31);
/** Seconds that fit in an int of ticks. */
export const SECONDS_MAX = Math.floor(INT_MAX / TICKS_PER_SECOND);

/** A kind of value: how many numbers, and which of them are allowed. */
interface SysctlKind {
  readonly numbers: number;
  readonly least: number;
  readonly greatest: number;
  /** Rules across the numbers; the value before is given too. */
  readonly isAllowed?: (values: readonly number[]) => boolean;
}

const INTEGER: SysctlKind = { numbers: 1, least: INT_MIN, greatest: INT_MAX };
const BOOLEAN_BIT: SysctlKind = { numbers: 1, least: 0, greatest: 1 };
const DEFENCE_MODE: SysctlKind = { numbers: 1, least: 0, greatest: 3 };
const RETRIES: SysctlKind = { numbers: 1, least: 0, greatest: 3 };
const UNSIGNED_LONG: SysctlKind = { numbers: 1, least: 0, greatest: Number.MAX_SAFE_INTEGER };
const SECONDS: SysctlKind = { numbers: 1, least: -SECONDS_MAX, greatest: SECONDS_MAX };
const SYNC_PORTS: SysctlKind = {
  numbers: 1,
  least: 1,
  greatest: INT_MAX,
  isAllowed: ([ports]) => (ports & (ports - 1)) === 0,
};
const SYNC_THRESHOLD: SysctlKind = {
  numbers: 2,
  least: 0,
  greatest: INT_MAX,
  isAllowed: ([threshold, period]) => period === 0 || threshold < period,
};

/** A sysctl's kind, default, and the SYSCTL_* word the data plane reads it from. */
interface SysctlDefinition {
  readonly kind: SysctlKind;
  readonly initial: readonly number[];
  readonly word?: number;
  /** Factor between the value and the word. */
  readonly scale?: number;
}

function define(kind: SysctlKind, initial: number, word?: number): SysctlDefinition {
  return word === undefined ? { kind, initial: [initial] } : { kind, initial: [initial], word };
}

function defineSeconds(initial: number, word: number): SysctlDefinition {
  return { kind: SECONDS, initial: [initial], word, scale: TICKS_PER_SECOND };
}

/** In the order `sysctl -a` lists them. */
const DEFINITIONS: ReadonlyMap<string, SysctlDefinition> = new Map([
  ['am_droprate', define(INTEGER, 10, SYSCTL_AM_DROPRATE)],
  ['amemthresh', define(INTEGER, 1024)],
  ['backup_only', define(INTEGER, 0, SYSCTL_BACKUP_ONLY)],
  ['cache_bypass', define(INTEGER, 0, SYSCTL_CACHE_BYPASS)],
  ['conn_reuse_mode', define(INTEGER, 1, SYSCTL_CONN_REUSE_MODE)],
  ['conntrack', define(INTEGER, 0, SYSCTL_CONNTRACK)],
  ['debug_level', define(INTEGER, 0)],
  ['drop_entry', define(DEFENCE_MODE, 0, SYSCTL_DROP_ENTRY)],
  ['drop_packet', define(DEFENCE_MODE, 0, SYSCTL_DROP_PACKET)],
  ['expire_nodest_conn', define(INTEGER, 0, SYSCTL_EXPIRE_NODEST_CONN)],
  ['expire_quiescent_template', define(INTEGER, 0, SYSCTL_EXPIRE_QUIESCENT_TEMPLATE)],
  ['ignore_tunneled', define(INTEGER, 0, SYSCTL_IGNORE_TUNNELED)],
  ['lblc_expiration', defineSeconds(86_400, SYSCTL_LBLC_EXPIRATION)],
  ['lblcr_expiration', defineSeconds(86_400, SYSCTL_LBLCR_EXPIRATION)],
  ['nat_icmp_send', define(INTEGER, 0, SYSCTL_NAT_ICMP_SEND)],
  ['pmtu_disc', define(INTEGER, 1, SYSCTL_PMTU_DISC)],
  ['run_estimation', define(INTEGER, 1)],
  ['schedule_icmp', define(INTEGER, 0, SYSCTL_SCHEDULE_ICMP)],
  // Its word says whether the stricter state table is in use, which the defence decides.
  ['secure_tcp', define(DEFENCE_MODE, 0)],
  ['sloppy_sctp', define(INTEGER, 0, SYSCTL_SLOPPY_SCTP)],
  ['sloppy_tcp', define(INTEGER, 0, SYSCTL_SLOPPY_TCP)],
  ['snat_reroute', define(INTEGER, 1)],
  ['sync_persist_mode', define(INTEGER, 0)],
  ['sync_ports', define(SYNC_PORTS, 1)],
  ['sync_qlen_max', define(UNSIGNED_LONG, 1881)],
  ['sync_refresh_period', define(SECONDS, 0)],
  ['sync_retries', define(RETRIES, 0)],
  ['sync_sock_size', define(INTEGER, 0)],
  ['sync_threshold', { kind: SYNC_THRESHOLD, initial: [3, 50] }],
  ['sync_version', define(BOOLEAN_BIT, 1)],
]);

/** The values of all sysctls. */
export class Sysctls {
  readonly #values = new Map<string, readonly number[]>();

  constructor() {
    for (const [name, { initial }] of DEFINITIONS) this.#values.set(name, initial);
  }

  /** Names without "net.ipv4.vs.", sorted. */
  static names(): readonly string[] {
    return [...DEFINITIONS.keys()];
  }

  /** First (mostly only) number of a sysctl's value. */
  number(name: string): number {
    return this.#require(name)[0];
  }

  /**
   * A value as sysctl(8) shows it: several numbers with tabs between them.
   * @throws IpvsError ENOENT
   */
  text(name: string): string {
    return this.#require(name).join('\t');
  }

  /**
   * Writes a value as text.
   * @returns whether the value differs from the one before
   * @throws IpvsError ENOENT for an unknown name, EINVAL for what the kernel would not take
   */
  write(name: string, text: string): boolean {
    const before = this.#require(name);
    const { kind } = DEFINITIONS.get(name)!;
    const written = parseNumbers(text, kind.numbers);
    if (written === undefined) throw invalid(name, text);
    // Numbers that are left out keep their value.
    const values = before.map((value, index) => written[index] ?? value);
    const isInRange = values.every((value) => value >= kind.least && value <= kind.greatest);
    if (!isInRange || kind.isAllowed?.(values) === false) throw invalid(name, text);
    this.#values.set(name, values);
    return values.some((value, index) => value !== before[index]);
  }

  /** Sets a defence mode that the defence itself moved on. */
  setNumber(name: string, value: number): void {
    this.#values.set(name, [value]);
  }

  /** The words of a bank, by SYSCTL_* offset. */
  words(): Map<number, number> {
    const words = new Map<number, number>();
    for (const [name, { word, scale }] of DEFINITIONS) {
      if (word !== undefined) words.set(word, this.number(name) * (scale ?? 1));
    }
    return words;
  }

  #require(name: string): readonly number[] {
    const values = this.#values.get(name);
    if (values === undefined) throw new IpvsError('ENOENT', `no sysctl net.ipv4.vs.${name}`);
    return values;
  }
}

/** Numbers with white space between them, as proc_dointvec() reads them; what is over is ignored. */
function parseNumbers(text: string, count: number): number[] | undefined {
  const words = text.trim().split(/\s+/).slice(0, count);
  const numbers: number[] = [];
  for (const word of words) {
    const match = /^(-?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9]\d*)$/.exec(word);
    if (match === null) return undefined;
    const digits = /^0[0-7]+$/.test(match[2]) ? `0o${match[2]}` : match[2];
    numbers.push(match[1] === '-' ? -Number(digits) : Number(digits));
  }
  return numbers;
}

function invalid(name: string, text: string): IpvsError {
  return new IpvsError('EINVAL', `net.ipv4.vs.${name} cannot be ${JSON.stringify(text)}`);
}
