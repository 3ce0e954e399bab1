// What the kernel's IPVS would have logged: dmesg's text, for recordings that look at it.

import { type IpvsControl, IpvsError } from '../ipvs/types.ts';

/** Tick of the replayed kernel's start and now, to stamp messages with. */
export interface LogClock {
  readonly ticksSinceBoot: number;
}

const SCHEDULERS_IN_ORDER_OF_LOADING = [
  'rr',
  'wrr',
  'lc',
  'wlc',
  'fo',
  'ovf',
  'lblc',
  'lblcr',
  'dh',
  'sh',
  'mh',
  'sed',
  'nq',
  'twos',
];
const BOOT_MESSAGES: readonly string[] = [
  'Registered protocols (TCP, UDP, SCTP, AH, ESP)',
  'Connection hash table configured (size=4096, memory=32Kbytes)',
  'ipvs loaded.',
  ...SCHEDULERS_IN_ORDER_OF_LOADING.map((name) => `[${name}] scheduler registered.`),
  '[sip] pe registered.',
];
const TICKS_PER_SECOND = 100;

/** The kernel's ring buffer, IPVS's part of it. */
export class KernelLog {
  readonly #clock: LogClock;
  readonly #lines: string[];

  constructor(clock: LogClock) {
    this.#clock = clock;
    this.#lines = BOOT_MESSAGES.map((message) => line(0, message));
  }

  /** Appends a message. */
  say(message: string): void {
    this.#lines.push(line(this.#clock.ticksSinceBoot, message));
  }

  /** All of it, as dmesg prints it. */
  text(): string {
    return this.#lines.map((entry) => `${entry}\n`).join('');
  }

  /** What came after booting. */
  sinceBoot(): string {
    return this.#lines
      .slice(BOOT_MESSAGES.length)
      .map((entry) => `${entry}\n`)
      .join('');
  }
}

function line(ticks: number, message: string): string {
  const seconds = Math.floor(ticks / TICKS_PER_SECOND);
  const microseconds = (ticks % TICKS_PER_SECOND) * (1_000_000 / TICKS_PER_SECOND);
  const stamp = `${String(seconds).padStart(5)}.${String(microseconds).padStart(6, '0')}`;
  return `[${stamp}] IPVS: ${message}`;
}

/** The control interface, but what it refuses is logged as the kernel does it. */
export function withKernelLog<T extends IpvsControl>(control: T, log: KernelLog): T {
  const logged: Partial<IpvsControl> = {
    addService: (key, options) => {
      noteScheduler(log, options.scheduler, () => control.addService(key, options));
    },
    editService: (key, options) => {
      noteScheduler(log, options.scheduler, () => control.editService(key, options));
    },
    addDestination: (service, key, options) => {
      noteThresholds(log, 'ip_vs_add_dest', () => control.addDestination(service, key, options));
    },
    editDestination: (service, key, options) => {
      noteThresholds(log, 'ip_vs_edit_dest', () => control.editDestination(service, key, options));
    },
  };
  return new Proxy(control, {
    get(target, name): unknown {
      if (Object.hasOwn(logged, name)) return logged[name as keyof IpvsControl];
      // Methods that use private fields need the object itself.
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
}

function noteScheduler(log: KernelLog, scheduler: string, change: () => void): void {
  try {
    change();
  } catch (error) {
    const isUnknown = error instanceof IpvsError && error.code === 'ENOENT';
    if (isUnknown) log.say(`Scheduler module ip_vs_${scheduler} not found`);
    throw error;
  }
}

function noteThresholds(log: KernelLog, name: string, change: () => void): void {
  try {
    change();
  } catch (error) {
    if (error instanceof IpvsError && error.code === 'ERANGE') {
      log.say(`${name}(): lower threshold is higher than upper threshold`);
    }
    throw error;
  }
}
