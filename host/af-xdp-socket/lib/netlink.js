// Netlink sockets on the event loop.

import {
  requireBytes,
  requireFunction,
  requireInteger,
  requireObject,
  typeError,
} from './arguments.js';
import { binding } from './binding.js';
import { check, missingCapabilities, systemError } from './errors.js';

const PROTOCOL_MAX = 31;
const GROUP_MAX = 1024;
const RECEIVE_BUFFER_DEFAULT = 1024 * 1024;
const RECEIVE_BUFFER_MAX = 0x3fffffff;
const ERRNO_EBADF = 9;

const INTERNAL = Symbol('internal');

// An open socket must not be collected while its callbacks are wanted, even when nobody holds it.
const openSockets = new Set();

function explain(code) {
  if (code === 'EPERM') return missingCapabilities('CAP_NET_ADMIN');
  if (code === 'EPROTONOSUPPORT') return 'This kernel does not have that netlink protocol.';
  if (code === 'EINVAL' || code === 'ENOENT') return 'One of the multicast groups does not exist.';
  return '';
}

function explainReception(code) {
  return code === 'ENOBUFS'
    ? 'Events came faster than they were read and some are lost: ask for a new dump.'
    : '';
}

export class NetlinkSocket {
  #opened = null;
  #onMessage;
  #onError;

  constructor(key, options) {
    if (key !== INTERNAL) throw new TypeError('Use openNetlink() to make one of these.');
    const { protocol, groups, receiveBuffer, onMessage, onError } = options;
    this.#onMessage = onMessage;
    this.#onError = onError;
    const deliver = (errno, datagram) => this.#deliver(errno, datagram);
    const opened = binding.netlinkOpen(protocol, groups, receiveBuffer, deliver);
    this.#opened = check(opened, 'socket(AF_NETLINK)', explain);
    openSockets.add(this);
  }

  #deliver(errno, datagram) {
    if (this.#opened === null) return;
    if (errno === 0) {
      this.#onMessage(datagram);
      return;
    }
    const error = systemError(-errno, 'recv(AF_NETLINK)');
    const sentence = explainReception(error.code);
    if (sentence) error.message += ` ${sentence}`;
    if (this.#onError === undefined) throw error;
    this.#onError(error);
  }

  #handle(syscall) {
    if (this.#opened === null) {
      throw systemError(-ERRNO_EBADF, syscall, 'This netlink socket is closed.');
    }
    return this.#opened;
  }

  get fd() {
    return this.#handle('use').fd;
  }
  get portId() {
    return this.#handle('use').portId;
  }

  send(datagram) {
    requireBytes(datagram, 'datagram');
    const { handle } = this.#handle('send(AF_NETLINK)');
    check(binding.netlinkSend(handle, datagram), 'send(AF_NETLINK)', explain);
  }

  ref() {
    binding.netlinkKeepAlive(this.#handle('ref').handle, true);
    return this;
  }

  unref() {
    binding.netlinkKeepAlive(this.#handle('unref').handle, false);
    return this;
  }

  close() {
    if (this.#opened === null) return;
    binding.netlinkClose(this.#opened.handle);
    this.#opened = null;
    openSockets.delete(this);
  }
}

export function openNetlink(options) {
  requireObject(options, 'options');
  const { protocol = 0, groups = [], receiveBuffer = RECEIVE_BUFFER_DEFAULT } = options;
  const { onMessage, onError } = options;
  requireInteger(protocol, 'protocol', 0, PROTOCOL_MAX);
  if (!Array.isArray(groups)) throw typeError('groups', 'an array of numbers', groups);
  for (const group of groups) requireInteger(group, 'A group', 1, GROUP_MAX);
  requireInteger(receiveBuffer, 'receiveBuffer', 1, RECEIVE_BUFFER_MAX);
  requireFunction(onMessage, 'onMessage');
  if (onError !== undefined) requireFunction(onError, 'onError');
  return new NetlinkSocket(INTERNAL, {
    protocol,
    groups: Int32Array.from(groups),
    receiveBuffer,
    onMessage,
    onError,
  });
}
