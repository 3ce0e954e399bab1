/** Rules of iptables that mark packets, one by one or as iptables-save prints them. */

import { PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP } from '../../../assembly/shared/codes.ts';
import type { Protocol } from '../../config/types.ts';
import { Iptables, IptablesError, type IptablesRule } from '../../ipvsadm/iptables.ts';
import type { MarkDraft } from '../model.ts';
import type { ImportReport, Origin } from '../report.ts';

const PROTOCOLS: ReadonlyMap<number, Protocol> = new Map([
  [PROTOCOL_TCP, 'tcp'],
  [PROTOCOL_UDP, 'udp'],
  [PROTOCOL_SCTP, 'sctp'],
]);
const ALL_BITS = 0xffff_ffff;

/** Follows the commands one by one. */
export class MarkRules {
  readonly #iptables = new Iptables();
  readonly #report: ImportReport;
  readonly #origins = new Map<IptablesRule, Origin>();

  constructor(report: ImportReport) {
    this.#report = report;
  }

  /** One command, the program's name first. What is not about marks is reported. */
  run(words: readonly string[], origin: Origin): void {
    try {
      this.#iptables.run(withoutComments(words));
    } catch (error) {
      if (!(error instanceof IptablesError)) throw error;
      this.#report.lost(origin, `this rule is left out: ${error.message}`);
      return;
    }
    for (const rule of this.#iptables.rules) {
      if (!this.#origins.has(rule)) this.#origins.set(rule, origin);
    }
  }

  /** The marks, in the order in which the rules are tried: a later one marks anew. */
  marks(): MarkDraft[] {
    return this.#iptables.rules.flatMap((rule) => this.#markDraft(rule) ?? []);
  }

  #markDraft(rule: IptablesRule): MarkDraft | undefined {
    const origin = this.#origins.get(rule)!;
    const { mark, mask, source, inputInterface, destination, family } = rule;
    const problem =
      source !== undefined
        ? 'WVS does not mark by where packets are from'
        : inputInterface !== undefined
          ? 'WVS does not mark by the interface packets come in by'
          : mark === 0
            ? 'a mark of 0 is none'
            : undefined;
    const ports = portsOf(rule);
    if (problem !== undefined || ports === undefined) {
      this.#report.lost(origin, `this rule is left out: ${problem ?? 'port 0 is none'}`);
      return undefined;
    }
    if (mask !== ALL_BITS) {
      this.#report.lost(origin, `the mask of the mark is left out: packets have the mark ${mark}`);
    }
    const everything = { address: family === 4 ? '0.0.0.0' : '::', prefixLength: 0 };
    const { address, prefixLength } = destination ?? everything;
    const isHost = prefixLength === (family === 4 ? 32 : 128);
    return {
      origin,
      mark,
      destination: isHost ? address : `${address}/${prefixLength}`,
      protocol: PROTOCOLS.get(rule.protocol),
      ports,
    };
  }
}

/** Undefined when there is no port left that WVS knows. */
function portsOf({ ports }: IptablesRule): readonly (number | string)[] | undefined {
  const written = ports
    .filter(([, last]) => last !== 0)
    .map(([first, last]) => {
      const low = Math.max(1, first);
      return low === last ? low : `${low}-${last}`;
    });
  return written.length === 0 && ports.length > 0 ? undefined : written;
}

/** What is a comment of a rule, and the counters of iptables-save -c. */
function withoutComments(words: readonly string[]): string[] {
  const kept: string[] = [];
  for (let i = 0; i < words.length; i++) {
    if (words[i] === '--comment') i++;
    else if (words[i] === '-m' && words[i + 1] === 'comment') i++;
    else if (!/^\[\d+:\d+\]$/.test(words[i]!)) kept.push(words[i]!);
  }
  return kept;
}
