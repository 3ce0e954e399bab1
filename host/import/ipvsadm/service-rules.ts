/** What `ipvsadm -S` prints, as services of WVS. */

import {
  FORWARD_FULL_NAT,
  FORWARD_NAT,
  FORWARD_TUNNEL,
  SERVICE_ONE_PACKET,
  SERVICE_PERSISTENT,
  SERVICE_SCHED1,
  SERVICE_SCHED2,
  TUNNEL_GRE,
  TUNNEL_GUE,
} from '../../../assembly/shared/codes.ts';
import { formatEndpoint } from '../../config/address.ts';
import type { SchedulerFlag } from '../../config/types.ts';
import type {
  DestinationEntry,
  DestinationKey,
  ServiceEntry,
  ServiceKey,
} from '../../ipvs/types.ts';
import { type Command, serverKey, serviceKey } from '../../ipvsadm/command.ts';
import { exitCodeOf } from '../../ipvsadm/exit.ts';
import { defaultMask } from '../../ipvsadm/list-services.ts';
import { Output } from '../../ipvsadm/output.ts';
import { parseCommand } from '../../ipvsadm/parse.ts';
import { OfflineResolver } from '../../ipvsadm/resolver.ts';
import { checkCommand, runCommand } from '../../ipvsadm/run.ts';
import type { ConfigDraft, ForwardingDraft, ServerDraft, ServiceDraft } from '../model.ts';
import type { ImportReport, Origin } from '../report.ts';
import { DEFAULT_TIMEOUTS_S } from './default-timeouts.ts';
import { emptyControl } from './empty-control.ts';

const resolver = new OfflineResolver();

/** Carries the commands out one by one on a director without anything. */
export class ServiceRules {
  readonly #control = emptyControl();
  readonly #report: ImportReport;
  readonly #origins = new Map<string, Origin>();

  constructor(report: ImportReport) {
    this.#report = report;
  }

  /** One command, without the program's name. What ipvsadm would refuse is an error. */
  run(words: readonly string[], origin: Origin): void {
    const args = repair(words);
    const output = new Output();
    let command: Command | undefined;
    const code = exitCodeOf(() => {
      command = parseCommand(args, { output, resolver });
      if (command === undefined) return 1;
      if (!this.#isRule(command, origin)) return 0;
      checkCommand(command, output);
      return runCommand(command, { control: this.#control, output, resolver });
    });
    if (code !== 0 || command === undefined) {
      const reason = output.text('stderr').trim().replaceAll('\n', '; ');
      const hint = /[a-zA-Z-]+\.[a-zA-Z]/.test(args.join(' ')) ? ' (names: save with -Sn)' : '';
      this.#report.error(origin, `${reason === '' ? 'no command of ipvsadm' : reason}${hint}`);
      return;
    }
    this.#remember(command, origin);
  }

  /** Adds what the commands have led to. */
  addTo(draft: ConfigDraft): void {
    for (const entry of this.#control.services()) {
      // The kernel lists the newest server first, a file names it last.
      const destinations = this.#control.destinations(entry.key).toReversed();
      draft.services.push(this.#serviceDraft(entry, destinations));
      for (const { address } of this.#control.localAddresses?.(entry.key) ?? []) {
        draft.director.localAddresses.add(address);
      }
    }
    const { tcp, tcpFin, udp } = this.#control.timeouts();
    const timeouts = {
      ...(tcp !== DEFAULT_TIMEOUTS_S.tcp && { tcp: `${tcp}s` }),
      ...(tcpFin !== DEFAULT_TIMEOUTS_S.tcpFin && { tcpfin: `${tcpFin}s` }),
      ...(udp !== DEFAULT_TIMEOUTS_S.udp && { udp: `${udp}s` }),
    };
    if (Object.keys(timeouts).length > 0) draft.director.timeouts = timeouts;
  }

  #isRule({ name }: Command, origin: Origin): boolean {
    if (name === 'start-daemon' || name === 'stop-daemon') {
      this.#report.lost(origin, `--${name} is left out: WVS does not synchronize connections`);
      return false;
    }
    if (name === 'list' || name === 'save' || name === 'restore' || name === 'zero') {
      this.#report.lost(origin, `--${name} is left out: it is no rule`);
      return false;
    }
    return true;
  }

  #remember({ name, service, server }: Command, origin: Origin): void {
    if (name === 'add-service') this.#origins.set(keyText(serviceKey(service)), origin);
    if (name === 'add-server') {
      this.#origins.set(keyText(serviceKey(service), serverKey(server)), origin);
    }
    if (name === 'add-laddr') {
      const message = 'local addresses are for all full-nat services in WVS';
      this.#report.lost(origin, message);
    }
  }

  #serviceDraft(entry: ServiceEntry, destinations: readonly DestinationEntry[]): ServiceDraft {
    const { key, flags, scheduler, engine } = entry;
    const origin = this.#origins.get(keyText(key))!;
    const isPersistent = (flags & SERVICE_PERSISTENT) !== 0;
    const mask = entry.persistenceMask === defaultMask(key.family) ? undefined : maskOf(entry);
    if (!isPersistent && (mask !== undefined || engine !== '')) {
      this.#report.lost(origin, '-M and --pe are left out: they say nothing without -p');
    }
    const persistence = isPersistent
      ? { timeout: `${entry.persistenceSeconds}s`, mask, engine: engine || undefined }
      : undefined;
    return {
      origin,
      listen: listenOf(key),
      scheduler,
      schedulerFlags: this.#flagsOf(entry, origin),
      forwarding: { method: 'direct-route' },
      persistence,
      onePacket: (flags & SERVICE_ONE_PACKET) !== 0,
      quorum: 1,
      hysteresis: 0,
      inhibitOnFailure: false,
      servers: destinations.map((destination) => this.#serverDraft(key, destination)),
    };
  }

  #flagsOf({ flags, scheduler }: ServiceEntry, origin: Origin): readonly SchedulerFlag[] {
    const known: SchedulerFlag[] = [];
    let left = flags & ~(SERVICE_ONE_PACKET | SERVICE_PERSISTENT);
    if (scheduler === 'sh' || scheduler === 'mh') {
      if ((flags & SERVICE_SCHED1) !== 0) known.push(`${scheduler}-fallback`);
      if ((flags & SERVICE_SCHED2) !== 0) known.push(`${scheduler}-port`);
      left &= ~(SERVICE_SCHED1 | SERVICE_SCHED2);
    }
    if (left !== 0) {
      this.#report.lost(origin, `-b has flags that are left out: they say nothing to ${scheduler}`);
    }
    return known;
  }

  #serverDraft(service: ServiceKey, entry: DestinationEntry): ServerDraft {
    const { key, weight, upperThreshold, lowerThreshold } = entry;
    // A server behind a mark has no port, unless NAT gives it one.
    const address = key.port === 0 ? key.address : formatEndpoint(key.address, key.port);
    return {
      origin: this.#origins.get(keyText(service, key))!,
      address,
      weight,
      upperThreshold,
      lowerThreshold,
      forwarding: forwardingOf(entry),
      checks: [],
    };
  }
}

/** Undoes what older versions of ipvsadm print although they do not read it. */
function repair(words: readonly string[]): string[] {
  return words.map((word, index) => {
    const before = words[index - 1];
    if (word === 'ops' && before !== '-s' && before !== '--scheduler') return '-o';
    const isMark = before === '-f' || before === '--fwmark-service';
    return isMark && /^-\d+$/.test(word) ? String(Number(word) >>> 0) : word;
  });
}

function keyText(service: ServiceKey, server?: DestinationKey): string {
  const own =
    'mark' in service
      ? `${service.family} mark ${service.mark}`
      : `${service.protocol} ${formatEndpoint(service.address, service.port)}`;
  return server === undefined ? own : `${own} ${formatEndpoint(server.address, server.port)}`;
}

function listenOf(key: ServiceKey): string {
  if ('mark' in key) return `mark ${key.mark}${key.family === 6 ? '/ipv6' : ''}`;
  return `${formatEndpoint(key.address, key.port)}/${key.protocol}`;
}

function maskOf({ key, persistenceMask }: ServiceEntry): string | number {
  return key.family === 6 ? Number(persistenceMask) : persistenceMask;
}

const CHECKSUMS = ['none', 'csum', 'remcsum'] as const;

function forwardingOf(entry: DestinationEntry): ForwardingDraft {
  switch (entry.forwarding) {
    case FORWARD_NAT:
      return { method: 'nat' };
    case FORWARD_FULL_NAT:
      return { method: 'full-nat' };
    case FORWARD_TUNNEL: {
      const { tunnelType, tunnelPort, tunnelFlags } = entry;
      const type = tunnelType === TUNNEL_GUE ? 'gue' : tunnelType === TUNNEL_GRE ? 'gre' : 'ipip';
      const checksum = CHECKSUMS[tunnelFlags] ?? 'none';
      return { method: 'tunnel', tunnel: { type, port: tunnelPort, checksum } };
    }
    default:
      return { method: 'direct-route' };
  }
}
