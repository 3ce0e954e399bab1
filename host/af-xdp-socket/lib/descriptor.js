// A file descriptor with one owner. It stays open until close() or until its thread ends, also when
// nobody holds the object any more: numbers of sockets and links are in use elsewhere, in workers
// and in the kernel, and a collected link would silently take its program off the interface.

import { binding } from './binding.js';
import { check, systemError } from './errors.js';

const ERRNO_EBADF = 9;

/** Keeps the native owners, which close at the latest when the thread ends. */
const open = new Set();

export class OwnedDescriptor {
  #fd;
  #owner;

  /** @param {number} fd open; from now on closed by this object only */
  constructor(fd) {
    this.#fd = fd;
    this.#owner = check(binding.own(fd), 'malloc');
    open.add(this.#owner);
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
    open.delete(this.#owner);
    this.#owner = null;
  }
}
