// Advice about memory, and putting a file behind it.

import { constants, fstatSync, ftruncateSync, openSync } from 'node:fs';
import {
  rangeError,
  requireBoolean,
  requireBytes,
  requireInteger,
  requireObject,
  requireString,
  typeError,
} from './arguments.js';
import { binding } from './binding.js';
import { OwnedDescriptor } from './descriptor.js';
import { check } from './errors.js';
import { PAGE_SIZE } from './limits.js';

const MADV_DONTFORK = 10;
const MADV_HUGEPAGE = 14;
const MFD_HUGETLB = 4;
const FILE_MODE = 0o600;
const DESCRIPTOR_MAX = 0x7fffffff;
const MEMFD_NAME_DEFAULT = 'af-xdp-socket';
const MEMFD_NAME_LENGTH_MAX = 249;

export function adviseHugePages(view) {
  requireBytes(view, 'view');
  check(binding.advise(view, MADV_HUGEPAGE), 'madvise(MADV_HUGEPAGE)', (code) =>
    code === 'EINVAL' ? 'This kernel has no transparent huge pages.' : '',
  );
}

export function adviseDontFork(view) {
  requireBytes(view, 'view');
  check(binding.advise(view, MADV_DONTFORK), 'madvise(MADV_DONTFORK)');
}

const INTERNAL = Symbol('internal');

export class SharedMemory {
  #descriptor;
  #size;

  constructor(key, descriptor, size) {
    if (key !== INTERNAL) throw new TypeError('Use mapSharedMemory() to make one of these.');
    this.#descriptor = descriptor;
    this.#size = size;
  }

  get fd() {
    return this.#descriptor.fd;
  }
  get size() {
    return this.#size;
  }

  close() {
    this.#descriptor.close();
  }
}

/** A descriptor the caller keeps: same shape as OwnedDescriptor, but close() leaves it open. */
function borrowed(fd) {
  return { fd, close() {} };
}

function requireMappable(view) {
  requireBytes(view, 'view');
  if (!(view.buffer instanceof SharedArrayBuffer)) {
    // An ordinary ArrayBuffer may be moved, freed and reused by the engine as it likes.
    throw typeError('view', 'on a SharedArrayBuffer', view.buffer);
  }
  if (view.length === 0 || view.length % PAGE_SIZE !== 0 || binding.pageRemainder(view) !== 0) {
    throw rangeError(`view must start on a page and be whole pages (${PAGE_SIZE} bytes) long.`);
  }
}

function requireSource(options) {
  requireObject(options, 'options');
  const { fd, path, name, hugePages = false, fileOffset = 0 } = options;
  if ([fd, path, name].filter((given) => given !== undefined).length > 1) {
    throw rangeError('Only one of fd, path and name may be given.');
  }
  requireBoolean(hugePages, 'hugePages');
  requireInteger(fileOffset, 'fileOffset', 0, Number.MAX_SAFE_INTEGER);
  if (fileOffset % PAGE_SIZE !== 0) throw rangeError('fileOffset must be a multiple of PAGE_SIZE.');
  if (fd !== undefined) requireInteger(fd, 'fd', 0, DESCRIPTOR_MAX);
  if (path !== undefined) requireString(path, 'path');
  if (name !== undefined) requireString(name, 'name');
  if (name !== undefined && Buffer.byteLength(name) > MEMFD_NAME_LENGTH_MAX) {
    throw rangeError(`name must be at most ${MEMFD_NAME_LENGTH_MAX} bytes long.`);
  }
  return { fd, path, name: name ?? MEMFD_NAME_DEFAULT, hugePages, fileOffset };
}

function openSource({ fd, path, name, hugePages }) {
  if (fd !== undefined) return borrowed(fd);
  if (path !== undefined) {
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
    return new OwnedDescriptor(openSync(path, flags, FILE_MODE));
  }
  const created = binding.createFile(name, hugePages ? MFD_HUGETLB : 0);
  return new OwnedDescriptor(check(created, 'memfd_create'));
}

function explainMapping(code, hugePages) {
  if (code === 'ENOMEM' && hugePages) {
    return 'Not enough huge pages are reserved: raise vm.nr_hugepages.';
  }
  if (code === 'EINVAL') {
    return 'Memory on huge pages must start on, and be, whole huge pages, and so must fileOffset.';
  }
  return '';
}

export function mapSharedMemory(view, options = {}) {
  requireMappable(view);
  const source = requireSource(options);
  const descriptor = openSource(source);
  try {
    const needed = source.fileOffset + view.length;
    let { size } = fstatSync(descriptor.fd);
    if (size < needed) {
      ftruncateSync(descriptor.fd, needed);
      size = needed;
    }
    check(
      binding.mapShared(view, descriptor.fd, source.fileOffset),
      'mmap(MAP_SHARED | MAP_FIXED)',
      (code) => explainMapping(code, source.hugePages),
    );
    return new SharedMemory(INTERNAL, descriptor, size);
  } catch (error) {
    descriptor.close();
    throw error;
  }
}
