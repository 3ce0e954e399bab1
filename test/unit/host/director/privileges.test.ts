import { expect, test } from 'vitest';
import { checkPrivileges } from '../../../../host/director/privileges.ts';

const status = (bits: bigint) => `Name:\tnode\nCapEff:\t${bits.toString(16).padStart(16, '0')}\n`;
const bit = (number: number) => 1n << BigInt(number);

test('all that is needed, and nothing else: enough', () => {
  expect(() => checkPrivileges(status(bit(12) | bit(13) | bit(38) | bit(39)))).not.toThrow();
});

test('CAP_SYS_ADMIN stands in for CAP_BPF and CAP_PERFMON', () => {
  expect(() => checkPrivileges(status(bit(12) | bit(13) | bit(21)))).not.toThrow();
});

test('nothing: a sentence that names all four', () => {
  expect(() => checkPrivileges(status(0n))).toThrow(
    /lacks CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF, CAP_PERFMON: run it as root/,
  );
});

test('one is missing: only that one is named as missing', () => {
  expect(() => checkPrivileges(status(bit(12) | bit(38) | bit(39)))).toThrow(/lacks CAP_NET_RAW:/);
});

test('a kernel that does not say: let the system calls tell', () => {
  expect(() => checkPrivileges('Name:\tnode\n')).not.toThrow();
});
