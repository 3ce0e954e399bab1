// UMEM and AF_XDP sockets.
//
// The kernel registers a UMEM on a socket, and other sockets share it by naming a *bound* socket
// that has it. So the first socket opened on a umem takes over the descriptor createUmem()
// registered, the later ones name any of those that are open, and when all are closed the next one
// registers the memory again.

import {
  rangeError,
  requireBoolean,
  requireBytes,
  requireInteger,
  requireObject,
  requireOneOf,
  typeError,
} from './arguments.js';
import { binding } from './binding.js';
import { OwnedDescriptor } from './descriptor.js';
import { check, missingCapabilities, systemError } from './errors.js';
import { describeQueueHolder, HELD_BY_THIS_PROCESS } from './holder.js';
import { interfaceInfo, requireInterface } from './interface.js';
import { FRAME_SIZE_MAX, FRAME_SIZE_MIN, KERNEL_HEADROOM, PAGE_SIZE } from './limits.js';
import { createRing, mapRing, RING_KINDS, requireDisjoint, requirePlacement } from './rings.js';

const XDP_SHARED_UMEM = 1;
const XDP_COPY = 2;
const XDP_ZEROCOPY = 4;
const XDP_USE_NEED_WAKEUP = 8;
// XDP_OPTIONS answers with this bit when the driver does not copy.
const XDP_OPTIONS_ZEROCOPY = 1;

const SOL_SOCKET = 1;
const SO_BUSY_POLL = 46;
const SO_PREFER_BUSY_POLL = 69;
const SO_BUSY_POLL_BUDGET = 70;
const BUSY_POLL_BUDGET_DEFAULT = 64;
const BUSY_POLL_BUDGET_MAX = 65535;
const BUSY_POLL_MICROSECONDS_MAX = 1_000_000;

const QUEUE_MAX = 65535;
const ERRNO_EBUSY = 16;
const MODES = ['auto', 'copy', 'zero-copy'];

// A socket whose object nobody holds may still be in a worker's poll loop, its rings included.
const openSockets = new Set();

// Keeps the constructors of public classes for this module.
const INTERNAL = Symbol('internal');

function requireInternal(key, hint) {
  if (key !== INTERNAL) throw new TypeError(`Use ${hint} to make one of these.`);
}

function explainSocket(code) {
  if (code === 'EPERM') return missingCapabilities('CAP_NET_RAW');
  if (code === 'EAFNOSUPPORT') return 'This kernel has no AF_XDP (CONFIG_XDP_SOCKETS).';
  return '';
}

function explainRegistration(code, length) {
  if (code === 'ENOBUFS') {
    return (
      `Pinning ${length} bytes exceeds the limit of locked memory: raise RLIMIT_MEMLOCK ` +
      '(ulimit -l), or grant CAP_IPC_LOCK.'
    );
  }
  if (code === 'ENOMEM') return `There is not enough memory to pin ${length} bytes.`;
  if (code === 'EFAULT') {
    return 'The pages cannot be pinned: memory on a file must be a memfd, /dev/shm or hugetlbfs.';
  }
  return '';
}

function requireMemory(memory, frameSize) {
  requireBytes(memory, 'memory');
  if (binding.pageRemainder(memory) !== 0) {
    throw rangeError(`memory must start on a page (${PAGE_SIZE} bytes) and not be empty.`);
  }
  if (memory.length < frameSize || memory.length % frameSize !== 0) {
    throw rangeError(`memory must be a whole number of frames of ${frameSize} bytes.`);
  }
}

function requireFrameSize(frameSize) {
  requireInteger(frameSize, 'frameSize', FRAME_SIZE_MIN, FRAME_SIZE_MAX);
  if (frameSize !== FRAME_SIZE_MIN && frameSize !== FRAME_SIZE_MAX) {
    throw rangeError(`frameSize must be ${FRAME_SIZE_MIN} or ${FRAME_SIZE_MAX}, not ${frameSize}.`);
  }
}

export class Umem {
  #memory;
  #frameSize;
  #headroom;
  #closed = false;
  // Registered, not yet a bound socket.
  #spare = null;
  #sockets = new Set();

  constructor(key, options) {
    requireInternal(key, 'createUmem()');
    const { memory, frameSize, headroom } = options;
    this.#memory = memory;
    this.#frameSize = frameSize;
    this.#headroom = headroom;
    this.#spare = this.#register();
  }

  get memory() {
    return this.#memory;
  }
  get frameSize() {
    return this.#frameSize;
  }
  get frameCount() {
    return this.#memory.length / this.#frameSize;
  }
  get headroom() {
    return this.#headroom;
  }

  close() {
    if (this.#sockets.size > 0) {
      const open = this.#sockets.size === 1 ? 'A socket is' : `${this.#sockets.size} sockets are`;
      throw systemError(
        -ERRNO_EBUSY,
        'close',
        `${open} still open on this umem; close them first.`,
      );
    }
    this.#spare?.close();
    this.#spare = null;
    this.#closed = true;
  }

  #register() {
    const fd = check(binding.socketOpen(), 'socket(AF_XDP)', explainSocket);
    const descriptor = new OwnedDescriptor(fd);
    try {
      check(
        binding.registerUmem(fd, this.#memory, this.#frameSize, this.#headroom),
        'setsockopt(XDP_UMEM_REG)',
        (code) => explainRegistration(code, this.#memory.length),
      );
    } catch (error) {
      descriptor.close();
      throw error;
    }
    return descriptor;
  }

  /** For openSocket(): a descriptor to bind, and the socket whose UMEM it shares, if any. */
  takeDescriptor(key) {
    requireInternal(key, 'openSocket()');
    if (this.#closed) throw rangeError('This umem is closed.');
    const [sibling] = this.#sockets;
    if (sibling !== undefined) {
      const fd = check(binding.socketOpen(), 'socket(AF_XDP)', explainSocket);
      return { descriptor: new OwnedDescriptor(fd), sibling };
    }
    const descriptor = this.#spare ?? this.#register();
    this.#spare = null;
    return { descriptor, sibling: null };
  }

  /** Whether a socket of this umem is bound there: the kernel would answer with a bare EINVAL. */
  serves(interfaceIndex, queue) {
    return [...this.#sockets].some(
      (socket) => socket.interfaceIndex === interfaceIndex && socket.queue === queue,
    );
  }

  adopt(key, socket) {
    requireInternal(key, 'openSocket()');
    this.#sockets.add(socket);
  }

  release(key, socket) {
    requireInternal(key, 'close()');
    this.#sockets.delete(socket);
  }
}

export function createUmem(options) {
  requireObject(options, 'options');
  const { memory, frameSize, headroom = 0 } = options;
  requireFrameSize(frameSize);
  requireMemory(memory, frameSize);
  requireInteger(headroom, 'headroom', 0, frameSize - KERNEL_HEADROOM - 1);
  return new Umem(INTERNAL, { memory, frameSize, headroom });
}

export class XdpSocket {
  #descriptor;
  #umem;
  #mappings;
  #details;

  constructor(key, parts) {
    requireInternal(key, 'openSocket()');
    const { descriptor, umem, mappings, details } = parts;
    this.#descriptor = descriptor;
    this.#umem = umem;
    this.#mappings = mappings;
    this.#details = details;
    umem.adopt(INTERNAL, this);
    openSockets.add(this);
  }

  get fd() {
    return this.#descriptor.fd;
  }
  get interfaceIndex() {
    return this.#details.interfaceIndex;
  }
  get queue() {
    return this.#details.queue;
  }
  get rings() {
    return this.#details.rings;
  }
  get zeroCopy() {
    return this.#details.zeroCopy;
  }
  get needWakeup() {
    return this.#details.needWakeup;
  }

  statistics() {
    return socketStatistics(this.fd);
  }

  close() {
    if (this.#descriptor.closed) return;
    // The mappings hold the socket in the kernel as the descriptor does: the queue is free only
    // when both are gone.
    this.#descriptor.close();
    unmapAll(this.#mappings);
    this.#umem.release(INTERNAL, this);
    openSockets.delete(this);
  }
}

function unmapAll(mappings) {
  for (const mapping of mappings) check(binding.unmapRing(mapping), 'mmap(memory of a ring)');
}

export function socketStatistics(fd) {
  return check(binding.socketStatistics(fd), 'getsockopt(XDP_STATISTICS)', (code) =>
    code === 'ENOPROTOOPT' || code === 'EOPNOTSUPP' || code === 'ENOTSOCK'
      ? 'The descriptor is not an AF_XDP socket.'
      : '',
  );
}

function requireBusyPoll(busyPoll) {
  if (busyPoll === undefined) return null;
  requireObject(busyPoll, 'busyPoll');
  const { microseconds, budget = BUSY_POLL_BUDGET_DEFAULT } = busyPoll;
  requireInteger(microseconds, 'busyPoll.microseconds', 1, BUSY_POLL_MICROSECONDS_MAX);
  requireInteger(budget, 'busyPoll.budget', 1, BUSY_POLL_BUDGET_MAX);
  return { microseconds, budget };
}

function requirePlacements(rings, umem) {
  requireObject(rings, 'rings');
  for (const kind of ['fill', 'completion']) {
    if (rings[kind] === undefined) throw typeError(`rings.${kind}`, 'given', rings[kind]);
  }
  if (rings.rx === undefined && rings.tx === undefined) {
    throw typeError('rings.rx or rings.tx', 'given', undefined);
  }
  const placements = RING_KINDS.filter((kind) => rings[kind] !== undefined).map((kind) =>
    requirePlacement(rings[kind], kind),
  );
  const { memory } = umem;
  requireDisjoint([...placements, { kind: 'umem', memory, byteOffset: 0, length: memory.length }]);
  return placements;
}

function requireOptions(options) {
  requireObject(options, 'options');
  const { umem, queue, mode = 'auto', needWakeup = true } = options;
  if (!(umem instanceof Umem)) throw typeError('umem', 'made by createUmem()', umem);
  return {
    umem,
    interface: requireInterface(options.interface),
    queue: requireInteger(queue, 'queue', 0, QUEUE_MAX),
    mode: requireOneOf(mode, 'mode', MODES),
    needWakeup: requireBoolean(needWakeup, 'needWakeup'),
    busyPoll: requireBusyPoll(options.busyPoll),
    placements: requirePlacements(options.rings, umem),
  };
}

// What is asked must be what the umem's first socket has: a shared bind inherits it.
function requireSameMode(sibling, { mode, needWakeup }) {
  const shared = sibling.zeroCopy ? 'zero-copy' : 'copy';
  if (mode !== 'auto' && mode !== shared) {
    throw rangeError(
      `This umem's sockets work in ${shared} mode, so mode '${mode}' cannot be had on it; ` +
        'a second umem on the same memory can.',
    );
  }
  if (needWakeup !== sibling.needWakeup) {
    throw rangeError(`This umem's sockets were opened with needWakeup: ${sibling.needWakeup}.`);
  }
}

function explainBind(code, options, link) {
  const place = `Queue ${options.queue} of ${link.name}`;
  if (code === 'EBUSY') {
    return `${place} is taken. ${describeQueueHolder(link.index, options.queue)}`;
  }
  if (code === 'EINVAL') {
    const queues = Math.min(link.rxQueues, link.txQueues);
    if (options.queue >= queues) return `${link.name} has ${queues} queues, numbered from 0.`;
    return `${place} cannot be bound with these options; is the interface an Ethernet device?`;
  }
  if (code === 'EOPNOTSUPP') {
    const kind = link.kind ?? 'a device';
    const driver = `The driver of ${link.name} (${kind}) has no zero-copy AF_XDP`;
    return options.mode === 'zero-copy'
      ? `${driver}; use mode 'auto' or 'copy'.`
      : `${driver}, which the umem's other sockets use; take a second umem on the same memory.`;
  }
  if (code === 'ENETDOWN') return `${link.name} is down: bring it up first.`;
  if (code === 'EPERM') return missingCapabilities('CAP_NET_RAW');
  if (code === 'ENODEV') return `${link.name} went away.`;
  return '';
}

function bind(descriptor, sibling, options, link) {
  let flags = XDP_SHARED_UMEM;
  if (sibling === null) {
    flags = options.needWakeup ? XDP_USE_NEED_WAKEUP : 0;
    if (options.mode === 'copy') flags |= XDP_COPY;
    if (options.mode === 'zero-copy') flags |= XDP_ZEROCOPY;
  }
  const sharedWith = sibling === null ? -1 : sibling.fd;
  check(
    binding.bindSocket(descriptor.fd, link.index, options.queue, flags, sharedWith),
    'bind(AF_XDP)',
    (code) => explainBind(code, options, link),
  );
}

function setBusyPoll(fd, busyPoll) {
  if (busyPoll === null) return;
  const explain = (code) =>
    code === 'EPERM'
      ? missingCapabilities('CAP_NET_ADMIN')
      : 'Preferred busy polling needs Linux 5.11.';
  const set = (option, value, name) =>
    check(binding.setSocketOption(fd, SOL_SOCKET, option, value), `setsockopt(${name})`, explain);
  set(SO_PREFER_BUSY_POLL, 1, 'SO_PREFER_BUSY_POLL');
  set(SO_BUSY_POLL, busyPoll.microseconds, 'SO_BUSY_POLL');
  set(SO_BUSY_POLL_BUDGET, busyPoll.budget, 'SO_BUSY_POLL_BUDGET');
}

// Memory is touched last, so that a queue that is taken leaves the caller's pages alone.
function prepare(descriptor, sibling, options, mappings) {
  const link = interfaceInfo(options.interface);
  const { fd } = descriptor;
  if (options.umem.serves(link.index, options.queue)) {
    const sentence = `Queue ${options.queue} of ${link.name} is taken. ${HELD_BY_THIS_PROCESS}`;
    throw systemError(-ERRNO_EBUSY, 'bind(AF_XDP)', sentence);
  }
  for (const placement of options.placements) createRing(fd, placement);
  setBusyPoll(fd, options.busyPoll);
  bind(descriptor, sibling, options, link);
  const flags = check(binding.socketOptions(fd), 'getsockopt(XDP_OPTIONS)');
  const rings = {};
  for (const placement of options.placements) {
    const { ring, mapping } = mapRing(fd, placement);
    mappings.push(mapping);
    rings[placement.kind] = ring;
  }
  return {
    interfaceIndex: link.index,
    queue: options.queue,
    rings: Object.freeze(rings),
    zeroCopy: (flags & XDP_OPTIONS_ZEROCOPY) !== 0,
    needWakeup: options.needWakeup,
  };
}

export function openSocket(options) {
  const wanted = requireOptions(options);
  const { umem } = wanted;
  const { descriptor, sibling } = umem.takeDescriptor(INTERNAL);
  const mappings = [];
  try {
    if (sibling !== null) requireSameMode(sibling, wanted);
    const details = prepare(descriptor, sibling, wanted, mappings);
    return new XdpSocket(INTERNAL, { descriptor, umem, mappings, details });
  } catch (error) {
    descriptor.close();
    unmapAll(mappings);
    throw error;
  }
}
