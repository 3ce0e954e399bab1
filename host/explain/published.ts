// The published tables as a packet finds them: the twin, in reading, of assembly/route.ts and
// assembly/service-table.ts. Reads the active bank, which only this thread changes.

import { FORWARD_NAT, PROTOCOL_TCP } from '../../assembly/shared/codes.ts';
import {
  BANK_MARK_COUNT,
  BANK_SERVICE_COUNT,
  DESTINATION_ADDRESS,
  DESTINATION_FAMILY,
  DESTINATION_FORWARDING,
  DESTINATION_PORT,
  DESTINATION_PROTOCOL,
  DESTINATION_SERVICE,
  LOCAL_FAMILY,
  LOCAL_FLAGS,
  LOCAL_PORT,
  MARK_ADDRESS,
  MARK_FAMILY,
  MARK_PORT_COUNT,
  MARK_PORTS,
  MARK_PREFIX,
  MARK_PROTOCOL,
  MARK_SIZE,
  MARK_SOURCE,
  MARK_SOURCE_PREFIX,
  MARK_VALUE,
  SYSCTL_UNPRIVILEGED_PORT,
} from '../../assembly/shared/layout.ts';
import { inPrefix } from '../config/address.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import { swapPort } from '../tables/hash.ts';
import { probeLocal, sameBytes } from '../tables/local-addresses.ts';
import { findService } from '../tables/service-index.ts';
import type { Question } from './question.ts';

export const FTP_PORT = 21;
export const FTP_DATA_PORT = 20;

/** How a packet's service was found. */
export type FoundBy = 'mark' | 'address' | 'ftp' | 'any-port';

/** The bank that is published now. */
export class Published {
  readonly memory: DataPlaneMemory;
  readonly bank: number;

  constructor(memory: DataPlaneMemory) {
    this.memory = memory;
    this.bank = memory.activeBank();
  }

  /** A word of the bank's header: SYSCTL_*, BANK_*. */
  word(offset: number): number {
    return this.memory.u32[(this.bank + offset) >>> 2];
  }

  /** Whether any service exists; without one no packet is looked at. */
  get isEnabled(): boolean {
    return this.word(BANK_SERVICE_COUNT) !== 0;
  }

  /** LOCAL_* flags and the port of one of the director's own addresses. */
  local(address: Uint8Array): { readonly flags: number; readonly port: number } | undefined {
    const { u8 } = this.memory;
    const at = probeLocal(this.memory, this.bank, address);
    if (u8[at + LOCAL_FAMILY] === 0) return undefined;
    return { flags: u8[at + LOCAL_FLAGS], port: u8[at + LOCAL_PORT] };
  }

  /** How many rules give marks. */
  get markRules(): number {
    return this.word(BANK_MARK_COUNT);
  }

  /** The mark a packet gets, by the last rule that matches, and the rule's number from 1. */
  mark(question: Question): { readonly mark: number; readonly rule: number } | undefined {
    let found: { mark: number; rule: number } | undefined;
    for (let index = 0; index < this.markRules; index++) {
      const at = this.bank + this.memory.map.bank.marks + index * MARK_SIZE;
      if (!this.#matches(at, question)) continue;
      found = { mark: this.memory.u32[(at + MARK_VALUE) >>> 2], rule: index + 1 };
    }
    // A rule can also take the mark away again.
    return found?.mark === 0 ? undefined : found;
  }

  #matches(rule: number, { family, protocolNumber, source, destination }: Question): boolean {
    const { u8 } = this.memory;
    if (u8[rule + MARK_FAMILY] !== family) return false;
    const protocol = u8[rule + MARK_PROTOCOL];
    if (protocol !== 0 && protocol !== protocolNumber) return false;
    const to = u8.subarray(rule + MARK_ADDRESS, rule + MARK_ADDRESS + 16);
    const from = u8.subarray(rule + MARK_SOURCE, rule + MARK_SOURCE + 16);
    return (
      inPrefix(destination.bytes, to, u8[rule + MARK_PREFIX]) &&
      inPrefix(source.bytes, from, u8[rule + MARK_SOURCE_PREFIX]) &&
      this.#portMatches(rule, destination.port)
    );
  }

  #portMatches(rule: number, port: number): boolean {
    const { u8, u16 } = this.memory;
    const ranges = u8[rule + MARK_PORT_COUNT];
    if (ranges === 0) return true;
    for (let range = 0; range < ranges; range++) {
      const at = (rule + MARK_PORTS + range * 4) >>> 1;
      if (port >= u16[at] && port <= u16[at + 1]) return true;
    }
    return false;
  }

  /** The service a new connection belongs to (ip_vs_service_find). */
  service(question: Question, mark: number): { id: number; by: FoundBy } | undefined {
    const { family, protocolNumber: protocol, destination } = question;
    const find = (port: number) => {
      const key = { family, protocol, address: destination.bytes, port };
      return findService(this.memory, this.bank, key);
    };
    const byMark = mark === 0 ? 0 : findService(this.memory, this.bank, { family, mark });
    if (byMark !== 0) return { id: byMark, by: 'mark' };
    const exact = find(destination.port);
    if (exact !== 0) return { id: exact, by: destination.port === 0 ? 'any-port' : 'address' };
    if (protocol === PROTOCOL_TCP && this.#mayBeFtpData(destination.port)) {
      const ftp = find(FTP_PORT);
      if (ftp !== 0) return { id: ftp, by: 'ftp' };
    }
    const anyPort = find(0);
    return anyPort === 0 ? undefined : { id: anyPort, by: 'any-port' };
  }

  #mayBeFtpData(port: number): boolean {
    return port === FTP_DATA_PORT || port >= this.word(SYSCTL_UNPRIVILEGED_PORT);
  }

  /** Id of the nat destination that a packet comes from, or 0 (ip_vs_has_real_service). */
  natDestination({ family, protocolNumber, source }: Question): number {
    const { u8, u16, u32, map } = this.memory;
    for (let id = 1; id < map.destinationRecords; id++) {
      const at = this.memory.destination(this.bank, id);
      if (
        u8[at + DESTINATION_FAMILY] === family &&
        u32[(at + DESTINATION_SERVICE) >>> 2] !== 0 &&
        u8[at + DESTINATION_FORWARDING] === FORWARD_NAT &&
        u8[at + DESTINATION_PROTOCOL] === protocolNumber &&
        u16[(at + DESTINATION_PORT) >>> 1] === swapPort(source.port) &&
        sameBytes(u8, at + DESTINATION_ADDRESS, source.bytes)
      ) {
        return id;
      }
    }
    return 0;
  }
}
