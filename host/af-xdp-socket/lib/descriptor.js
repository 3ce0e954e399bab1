// A file descriptor with one owner. The native owner closes it when this object is collected or its
// thread ends, so a forgotten close() is a delay, never a leak.

import { binding } from './binding.js';
import { check, systemError } from './errors.js';

const ERRNO_EBADF = 9;

export class OwnedDescriptor {
  #fd;
  #owner;

  /** @param {number} fd open; from now on closed by this object only */
  constructor(fd) {
    this.#fd = fd;
    this.#owner = check(binding.own(fd), 'malloc');
  }

  get closed() {
    return this.#owner === null;
  }

  /** The number; EBADF once closed, because the number may mean something else by then. */
  get fd() {
    if (this.#owner === null) {
      throw systemError(-ERRNO_EBADF, 'use', 'The object this descriptor belonged to is closed.');
    }
    return this.#fd;
  }

  close() {
    if (this.#owner === null) return;
    binding.disown(this.#owner);
    this.#owner = null;
  }
}
