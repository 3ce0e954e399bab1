// The programs that a recording's `$` lines call, acting on a replayed director, and the files they
// read: /proc/net/ip_vs*, /proc/sys/net/ipv4/vs/*.

import { PROC_FILES, type ProcFile, procText, type RawCounts } from '../ipvs/proc.ts';
import { IpvsError } from '../ipvs/types.ts';
import { Iptables, IptablesError } from '../ipvsadm/iptables.ts';
import { ipvsadm } from '../ipvsadm/ipvsadm.ts';
import { throughPipe } from '../ipvsadm/output.ts';
import { OfflineResolver } from '../ipvsadm/resolver.ts';
import { KernelLog, withKernelLog } from './kernel-log.ts';
import type { ReplayDirector } from './replay-director.ts';
import { type CommandResult, complained, printed, Shell } from './shell.ts';
import { runIp } from './world-from-ip.ts';

const PROC_NET = '/proc/net/';
const VS_SYSCTLS = '/proc/sys/net/ipv4/vs/';
/** What iptables exits with when it does not understand a command. */
const BAD_USAGE = 2;
const VS_PREFIX = 'net.ipv4.vs.';
/** The helper for port 21 is always there, and nothing in a replay counts who uses it. */
const APPLICATIONS = 'prot port    usecnt name\nTCP  21      0      ftp              \n';

/** Other kernel settings, as far as a recording names them. */
export type OtherSettings = Map<string, string>;

/** The shell of a replayed director. */
export class DirectorShell {
  readonly log: KernelLog;
  readonly #director: ReplayDirector;
  readonly #control: ReplayDirector['control'];
  readonly #settings: OtherSettings;
  readonly #iptables = new Iptables();
  readonly #resolver = new OfflineResolver();
  readonly #shell: Shell;

  constructor(director: ReplayDirector, settings: OtherSettings, bootTick: number) {
    this.#director = director;
    this.#settings = settings;
    this.log = new KernelLog({
      get ticksSinceBoot() {
        return director.tick - bootTick;
      },
    });
    this.#control = withKernelLog(director.control, this.log);
    this.#shell = new Shell(
      {
        ipvsadm: (words, stdin) => this.#ipvsadm(words, stdin),
        'ipvsadm-save': (words, stdin) => this.#ipvsadm(['-S', ...words], stdin),
        'ipvsadm-restore': (words, stdin) => this.#ipvsadm(['-R', ...words], stdin),
        sysctl: (words) => this.#sysctl(words),
        iptables: (words) => this.#mark(['iptables', ...words]),
        ip6tables: (words) => this.#mark(['ip6tables', ...words]),
        ip: (words) => this.#ip(words),
        dmesg: () => printed(this.log.text()),
      },
      (path) => this.#file(path),
    );
  }

  /** Runs a command line. */
  run(line: string): { readonly code: number; readonly text: string } {
    this.#director.commandFollows();
    return this.#shell.run(line);
  }

  #ipvsadm(words: readonly string[], stdin: string): CommandResult {
    const { code, stdout, stderr, writes } = ipvsadm(words, this.#control, {
      stdin,
      resolver: this.#resolver,
    });
    return { code, stdout, stderr, merged: throughPipe(writes) };
  }

  /** Changes the mark rules. An interface that a rule names is not looked at: marks go by address. */
  #mark(words: readonly string[]): CommandResult {
    try {
      this.#iptables.run(words);
    } catch (error) {
      if (!(error instanceof IptablesError)) throw error;
      return complained(`${words[0]}: ${error.message}\n`, BAD_USAGE);
    }
    this.#director.setMarks(this.#iptables.rules);
    return printed('');
  }

  #ip(words: readonly string[]): CommandResult {
    const { code, text } = runIp(this.#director.network, words);
    this.#director.networkChanged();
    return code === 0 ? printed(text) : complained(text, code);
  }

  #sysctl(words: readonly string[]): CommandResult {
    if (words.includes('-a')) return printed(this.#allSettings());
    let stdout = '';
    let stderr = '';
    for (const word of words.filter((candidate) => !candidate.startsWith('-'))) {
      const { text, isRefused } = this.#setting(word);
      if (isRefused) stderr += text;
      else stdout += text;
    }
    return { code: stderr === '' ? 0 : 1, stdout, stderr, merged: stdout + stderr };
  }

  #allSettings(): string {
    const own = this.#control.sysctlNames().map((name) => VS_PREFIX + name);
    const names = [...own, ...this.#settings.keys()].sort();
    return names.map((name) => `${name} = ${this.#read(name)}\n`).join('');
  }

  #read(name: string): string | undefined {
    const own = name.startsWith(VS_PREFIX) ? name.slice(VS_PREFIX.length) : undefined;
    if (own === undefined) return this.#settings.get(name);
    return this.#control.sysctlNames().includes(own) ? this.#control.sysctl(own) : undefined;
  }

  /** Reads a setting, or writes one when the word has a `=`. */
  #setting(word: string): { text: string; isRefused: boolean } {
    const [name, ...values] = word.split('=');
    const path = `/proc/sys/${name.replaceAll('.', '/')}`;
    const before = this.#read(name);
    if (before === undefined) {
      return { text: `sysctl: cannot stat ${path}: No such file or directory\n`, isRefused: true };
    }
    if (values.length === 0) return { text: `${name} = ${before}\n`, isRefused: false };
    const value = values.join('=');
    if (!name.startsWith(VS_PREFIX)) {
      this.#settings.set(name, value);
      return { text: `${name} = ${value}\n`, isRefused: false };
    }
    try {
      this.#control.setSysctl(name.slice(VS_PREFIX.length), value);
      return { text: `${name} = ${value}\n`, isRefused: false };
    } catch (error) {
      if (!(error instanceof IpvsError)) throw error;
      return { text: `sysctl: setting key "${name}": Invalid argument\n`, isRefused: true };
    }
  }

  /** The files of the replayed kernel; a name that ends in a slash gives a directory's names. */
  #file(path: string): string | undefined {
    if (path === PROC_NET) {
      return ['ip_vs_app', ...PROC_FILES]
        .sort()
        .map((name) => `${name}\n`)
        .join('');
    }
    if (path === VS_SYSCTLS) {
      return [...this.#control.sysctlNames()]
        .sort()
        .map((name) => `${name}\n`)
        .join('');
    }
    if (path.startsWith(VS_SYSCTLS)) {
      const value = this.#read(VS_PREFIX + path.slice(VS_SYSCTLS.length));
      return value === undefined ? undefined : `${value}\n`;
    }
    if (!path.startsWith(PROC_NET)) return undefined;
    const name = path.slice(PROC_NET.length);
    if (name === 'ip_vs_app') return APPLICATIONS;
    const file = PROC_FILES.find((candidate) => candidate === name);
    return file === undefined ? undefined : this.#proc(file);
  }

  #proc(file: ProcFile): string {
    const control = this.#director.control;
    // The kernel of a recording has one CPU, however many workers share its work here.
    const workerCounts = () => [control.workerCounts().reduce(addCounts)];
    return procText({ control, workerCounts }, file);
  }
}

function addCounts(one: RawCounts, other: RawCounts): RawCounts {
  return one.map((count, index) => count + other[index]) as unknown as RawCounts;
}
