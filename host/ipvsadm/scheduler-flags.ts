import { SERVICE_SCHED1, SERVICE_SCHED2, SERVICE_SCHED3 } from '../../assembly/shared/codes.ts';
import type { Output } from './output.ts';

const ALL_FLAGS = SERVICE_SCHED1 | SERVICE_SCHED2 | SERVICE_SCHED3;

interface FlagName {
  readonly name: string;
  readonly bit: number;
}

const NUMBERED: readonly FlagName[] = [
  { name: 'flag-1', bit: SERVICE_SCHED1 },
  { name: 'flag-2', bit: SERVICE_SCHED2 },
  { name: 'flag-3', bit: SERVICE_SCHED3 },
];
/** Schedulers that have names of their own for the flags. */
const NAMED: ReadonlyMap<string, readonly FlagName[]> = new Map([
  [
    'sh',
    [
      { name: 'sh-fallback', bit: SERVICE_SCHED1 },
      { name: 'sh-port', bit: SERVICE_SCHED2 },
    ],
  ],
  [
    'mh',
    [
      { name: 'mh-fallback', bit: SERVICE_SCHED1 },
      { name: 'mh-port', bit: SERVICE_SCHED2 },
    ],
  ],
]);

/** Whether a service has any scheduler flag. */
export function hasSchedulerFlags(flags: number): boolean {
  return (flags & ALL_FLAGS) !== 0;
}

/** Service flags with the scheduler's ones replaced. */
export function withSchedulerFlags(flags: number, schedulerFlags: number): number {
  return (flags & ~ALL_FLAGS) | schedulerFlags;
}

/** Reads a list of flags with commas; a wrong one ends the run. */
export function parseSchedulerFlags(list: string, scheduler: string, output: Output): number {
  let flags = 0;
  for (const text of list.split(',').filter((part) => part !== '')) {
    flags |= parseFlag(text, scheduler, output);
  }
  return flags;
}

function parseFlag(text: string, scheduler: string, output: Output): number {
  const numbered = NUMBERED.find(({ name }) => name === text);
  if (numbered !== undefined) return numbered.bit;
  for (const [owner, names] of NAMED) {
    const named = names.find(({ name }) => name === text);
    if (named === undefined) continue;
    if (owner !== scheduler) output.fail(`incompatible scheduler flag \`${text}'`);
    return named.bit;
  }
  return output.fail(`invalid scheduler flag \`${text}'`);
}

/** The flags as ipvsadm lists them; it is silent about the third one of sh and mh. */
export function printedSchedulerFlags(flags: number, scheduler: string): string {
  return namesOf(flags, NAMED.get(scheduler) ?? NUMBERED);
}

/** All the flags, for a save that loses nothing. */
export function allSchedulerFlags(flags: number, scheduler: string): string {
  const named = NAMED.get(scheduler);
  return namesOf(flags, named === undefined ? NUMBERED : [...named, NUMBERED[2]!]);
}

function namesOf(flags: number, names: readonly FlagName[]): string {
  return names
    .filter(({ bit }) => (flags & bit) !== 0)
    .map(({ name }) => name)
    .join(',');
}
