// A TUN device: packets the kernel routes to it come out of the descriptor, and vice versa.

import { requireString } from './arguments.js';
import { binding } from './binding.js';
import { OwnedDescriptor } from './descriptor.js';
import { check, missingCapabilities } from './errors.js';

const INTERNAL = Symbol('internal');

export class TunDevice {
  #descriptor;
  #name;

  constructor(key, opened) {
    if (key !== INTERNAL) throw new TypeError('Use openTun() to make one of these.');
    this.#descriptor = new OwnedDescriptor(opened.fd);
    this.#name = opened.name;
  }

  get fd() {
    return this.#descriptor.fd;
  }
  get name() {
    return this.#name;
  }

  close() {
    this.#descriptor.close();
  }
}

function explain(code, name) {
  if (code === 'EPERM') return missingCapabilities('CAP_NET_ADMIN');
  if (code === 'ENOENT' || code === 'ENODEV')
    return 'This kernel has no /dev/net/tun (module tun).';
  if (code === 'EBUSY') return `Another process has the device ${name}.`;
  if (code === 'EINVAL') return `${name} exists and is no TUN device, or is not a possible name.`;
  return '';
}

export function openTun(name = 'tun%d') {
  requireString(name, 'name');
  const opened = check(binding.openTun(name), 'ioctl(TUNSETIFF)', (code) => explain(code, name));
  return new TunDevice(INTERNAL, opened);
}
