// What a poll loop calls between bursts. The native functions are handed out as they are: they
// check their arguments themselves and answer with numbers.

import { binding } from './binding.js';
import { OwnedDescriptor } from './descriptor.js';
import { check } from './errors.js';

export const {
  wakeTransmit,
  wakeReceive,
  pollDescriptors,
  signalEvent,
  drainEvent,
  readDescriptor,
  writeDescriptor,
} = binding;

export class EventDescriptor {
  #descriptor;

  constructor() {
    this.#descriptor = new OwnedDescriptor(check(binding.createEvent(), 'eventfd'));
  }

  get fd() {
    return this.#descriptor.fd;
  }

  signal() {
    check(binding.signalEvent(this.fd), 'write(eventfd)');
  }

  drain() {
    return check(binding.drainEvent(this.fd), 'read(eventfd)');
  }

  close() {
    this.#descriptor.close();
  }
}
