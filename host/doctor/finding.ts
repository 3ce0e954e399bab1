/** What a check says: what it saw, how bad that is, and the line that changes it. */

import type { Facts } from './facts.ts';

/** `fail`: the director does not start or packets are lost. `warn`: it works, but less well. */
export type Level = 'ok' | 'warn' | 'fail';

/** One thing looked at. */
export interface Finding {
  /** A stable name of the check, for programs. */
  readonly check: string;
  /** What it is about, such as `port wan`; absent for the whole machine. */
  readonly subject?: string;
  readonly level: Level;
  /** What is there, as a sentence. */
  readonly saw: string;
  /** A command line to run, a line to write, or else what to do. */
  readonly fix?: string;
}

/** A check: a pure function of the facts. What does not apply yields nothing. */
export type Check = (facts: Facts) => readonly Finding[];

/** A check that says one thing about the machine, or nothing. */
export type Verdict = Omit<Finding, 'check' | 'subject'> | undefined;

/** Makes a check of a verdict about the machine. */
export function machineCheck(check: string, judge: (facts: Facts) => Verdict): Check {
  return (facts) => {
    const verdict = judge(facts);
    return verdict === undefined ? [] : [{ check, ...verdict }];
  };
}

/** Makes a check that judges every port whose interface exists. */
export function portCheck(
  check: string,
  judge: (port: ExistingPort, facts: Facts) => Verdict,
): Check {
  return (facts) =>
    facts.ports.flatMap((port) => {
      if (port.info === undefined) return [];
      const verdict = judge({ ...port, info: port.info }, facts);
      return verdict === undefined ? [] : [{ check, subject: `port ${port.name}`, ...verdict }];
    });
}

/** A port whose interface exists. */
export type ExistingPort = Facts['ports'][number] & {
  readonly info: NonNullable<Facts['ports'][number]['info']>;
};

export function ok(saw: string): NonNullable<Verdict> {
  return { level: 'ok', saw };
}

export function warn(saw: string, fix?: string): NonNullable<Verdict> {
  return fix === undefined ? { level: 'warn', saw } : { level: 'warn', saw, fix };
}

export function fail(saw: string, fix?: string): NonNullable<Verdict> {
  return fix === undefined ? { level: 'fail', saw } : { level: 'fail', saw, fix };
}
