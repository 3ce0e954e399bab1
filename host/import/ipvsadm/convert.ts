/**
 * A file of rules as a configuration of WVS: what `ipvsadm -S` prints, what iptables-save prints,
 * and scripts that call ipvsadm and iptables line by line.
 */

import { IptablesError, parsePolicyRouting } from '../../ipvsadm/iptables.ts';
import { splitEscapedWords } from '../keepalived/words.ts';
import type { ConfigDraft } from '../model.ts';
import type { ImportReport, Origin } from '../report.ts';
import { MarkRules } from './mark-rules.ts';
import { ServiceRules } from './service-rules.ts';

/** Adds what the file says to `draft`. */
export function convertRules(
  { file, text }: { readonly file: string; readonly text: string },
  draft: ConfigDraft,
  report: ImportReport,
): void {
  const reader = new RuleReader(report);
  for (const [index, line] of text.split('\n').entries()) {
    const column = /^\s*/.exec(line)![0].length + 1;
    reader.read(line.trim(), { file, line: index + 1, column });
  }
  reader.addTo(draft);
}

class RuleReader {
  readonly #report: ImportReport;
  readonly #services: ServiceRules;
  readonly #marks: MarkRules;
  /** The table of iptables-save that is being read. */
  #table: string | undefined;
  #isIpv6 = false;

  constructor(report: ImportReport) {
    this.#report = report;
    this.#services = new ServiceRules(report);
    this.#marks = new MarkRules(report);
  }

  read(line: string, origin: Origin): void {
    if (line.startsWith('#')) {
      if (/ip6?tables-save/.test(line)) this.#isIpv6 = line.includes('ip6tables-save');
      return;
    }
    if (line === '' || line.startsWith(':')) return;
    if (line.startsWith('*')) this.#table = line.slice(1);
    else if (line === 'COMMIT') this.#table = undefined;
    else if (this.#table !== undefined) this.#readSaved(this.#table, line, origin);
    else this.#readCommand(line, origin);
  }

  addTo(draft: ConfigDraft): void {
    this.#services.addTo(draft);
    draft.marks.push(...this.#marks.marks());
  }

  #readSaved(table: string, line: string, origin: Origin): void {
    if (table !== 'mangle') {
      const message = `this rule is left out: the table ${table} has nothing to do with marks`;
      this.#report.lost(origin, message);
      return;
    }
    this.#mark(line, origin);
  }

  #readCommand(line: string, origin: Origin): void {
    const words = splitEscapedWords(line) ?? [];
    const name = words[0]?.replace(/^.*\//, '') ?? '';
    if (name === 'iptables' || name === 'ip6tables') {
      this.#marks.run([name, ...words.slice(1)], origin);
    } else if (name === 'ip') {
      this.#checkRouting(words, origin);
    } else if (name === 'ipvsadm') {
      this.#services.run(words.slice(1), origin);
    } else if (/^-[AID] [A-Z]/.test(line)) {
      this.#mark(line, origin);
    } else if (name.startsWith('-')) {
      this.#services.run(words, origin);
    } else {
      this.#report.error(origin, `neither a rule of ipvsadm nor one of iptables: ${line}`);
    }
  }

  /** A rule without program and table, as iptables-save prints it. */
  #mark(line: string, origin: Origin): void {
    const words = splitEscapedWords(line) ?? [];
    const isIpv6 = this.#isIpv6 || words.some((word) => /^[0-9a-f:]*:[0-9a-f:./]*:/i.test(word));
    this.#marks.run([isIpv6 ? 'ip6tables' : 'iptables', '-t', 'mangle', ...words], origin);
  }

  /** What sends marked packets to the director itself, which WVS does without it. */
  #checkRouting(words: readonly string[], origin: Origin): void {
    try {
      parsePolicyRouting(words);
    } catch (error) {
      if (!(error instanceof IptablesError)) throw error;
      this.#report.lost(origin, `left out: ${words.join(' ')}`);
    }
  }
}
