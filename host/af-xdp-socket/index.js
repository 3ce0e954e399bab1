// AF_XDP sockets for Node.js. Types and documentation: index.d.ts; overview: README.md.

export { BpfMap, XdpLink, XdpProgram } from './lib/bpf.js';
export { interfaceInfo } from './lib/interface.js';
export * from './lib/limits.js';
export { adviseDontFork, adviseHugePages, mapSharedMemory, SharedMemory } from './lib/memory.js';
export { NetlinkSocket, openNetlink } from './lib/netlink.js';
export { ProbePath, ProbePaths } from './lib/probe-paths.js';
export { keepCapabilities, notifyServiceManager } from './lib/process.js';
export { REDIRECT_ALL_BYTECODE } from './lib/redirect-all.js';
export { ringLength } from './lib/rings.js';
export { createUmem, openSocket, socketStatistics, Umem, XdpSocket } from './lib/socket.js';
export { Steering } from './lib/steering.js';
export {
  STEERING_FULL_NAT_RANGES_MAX,
  STEERING_MARK_RULES_MAX,
  STEERING_OUTCOMES,
  STEERING_PORTS_MAX,
  STEERING_QUEUES_MAX,
} from './lib/steering-bytecode.js';
export { openTun, TunDevice } from './lib/tun.js';
export {
  drainEvent,
  EventDescriptor,
  pollDescriptors,
  readDescriptor,
  signalEvent,
  wakeReceive,
  wakeTransmit,
  writeDescriptor,
} from './lib/wake.js';
