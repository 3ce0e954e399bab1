// What a negative errno becomes: an Error with code, errno, syscall and a sentence that helps.

import { readFileSync } from 'node:fs';
import { getSystemErrorMap } from 'node:util';

// The kernel's internal ENOTSUPP leaks out of some drivers; libuv does not know it.
const ERRNO_ENOTSUPP = 524;
// libuv calls 95 ENOTSUP; the kernel's documentation, and everybody who reads it, EOPNOTSUPP.
const ERRNO_EOPNOTSUPP = 95;

export const CAPABILITY_BITS = {
  CAP_NET_ADMIN: 12n,
  CAP_NET_RAW: 13n,
  CAP_IPC_LOCK: 14n,
  CAP_SYS_ADMIN: 21n,
  CAP_PERFMON: 38n,
  CAP_BPF: 39n,
};

function nameAndMeaning(errno) {
  if (errno === ERRNO_ENOTSUPP || errno === ERRNO_EOPNOTSUPP) {
    return ['EOPNOTSUPP', 'operation not supported'];
  }
  return getSystemErrorMap().get(-errno) ?? [`E${errno}`, `error ${errno}`];
}

export function errorCode(result) {
  return nameAndMeaning(-result)[0];
}

/**
 * @param {number} result the negative errno
 * @param {string} syscall
 * @param {string} [sentence] what the reader can do about it
 */
export function systemError(result, syscall, sentence = '') {
  const [code, meaning] = nameAndMeaning(-result);
  const error = new Error(`${syscall}: ${code}, ${meaning}.${sentence ? ` ${sentence}` : ''}`);
  error.code = code;
  error.errno = -result;
  error.syscall = syscall;
  return error;
}

/**
 * Hands on what is not negative, throws the rest. `explain` gets the code and may add a sentence.
 */
export function check(result, syscall, explain) {
  if (typeof result !== 'number' || result >= 0) return result;
  const code = errorCode(result);
  throw systemError(result, syscall, explain?.(code) || undefined);
}

function effectiveCapabilities() {
  try {
    const status = readFileSync('/proc/thread-self/status', 'utf8');
    return BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)[1]}`);
  } catch {
    return 0n;
  }
}

/** CAP_SYS_ADMIN stands in for what was split off from it. */
const PARTS_OF_ADMIN = ['CAP_BPF', 'CAP_PERFMON'];

/** Says which of `wanted` this thread lacks. */
export function missingCapabilities(...wanted) {
  const held = effectiveCapabilities();
  const has = (name) => (held >> CAPABILITY_BITS[name]) & 1n;
  const missing = wanted.filter(
    (name) => !has(name) && !(PARTS_OF_ADMIN.includes(name) && has('CAP_SYS_ADMIN')),
  );
  if (missing.length === 0) {
    return (
      `The process holds ${wanted.join(' and ')}, but not in the namespace that counts, ` +
      'or a security module refuses.'
    );
  }
  const are = missing.length === 1 ? 'is' : 'are';
  return `${missing.join(' and ')} ${are} missing: run as root, or grant what is missing.`;
}
