// Every limit and number of the kernel's interface that callers need.

import { binding } from './binding.js';

export const PAGE_SIZE = binding.pageSize;

export const FRAME_SIZE_MIN = 2048;
export const FRAME_SIZE_MAX = 4096;
export const KERNEL_HEADROOM = 256;

export const RING_ENTRIES_MIN = 1;
// The kernel has no limit of its own but memory; a ring of this size is 64 MiB.
export const RING_ENTRIES_MAX = 4194304;
export const RING_NEED_WAKEUP = 1;

// Same number in src/wake.h, where the array on the stack is.
export const POLL_DESCRIPTORS_MAX = 256;

export const POLLIN = 1;
export const POLLOUT = 4;
export const POLLERR = 8;
export const POLLHUP = 16;
export const POLLNVAL = 32;

export const XDP_ABORTED = 0;
export const XDP_DROP = 1;
export const XDP_PASS = 2;
export const XDP_TX = 3;
export const XDP_REDIRECT = 4;
