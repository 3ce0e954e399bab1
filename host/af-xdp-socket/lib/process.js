// What concerns the whole process: its service manager, and the capabilities it keeps.

import { requireString, typeError } from './arguments.js';
import { binding } from './binding.js';
import { CAPABILITY_BITS, check } from './errors.js';

export function notifyServiceManager(path, text) {
  requireString(path, 'path');
  requireString(text, 'text');
  check(binding.notify(path, text), 'sendto', (code) =>
    code === 'ENOENT' || code === 'ECONNREFUSED' ? `Nobody listens at ${path}.` : '',
  );
}

export function keepCapabilities(capabilities) {
  let mask = 0n;
  for (const name of capabilities) {
    const bit = CAPABILITY_BITS[name];
    if (bit === undefined) throw typeError('A capability', 'a name such as CAP_BPF', name);
    mask |= 1n << bit;
  }
  return check(binding.keepCapabilities(Number(mask)), 'capset');
}
