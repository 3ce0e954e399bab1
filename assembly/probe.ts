// A second module for unit tests only: the data plane's inner functions, exported one by one so
// that a test can call each on bytes of its own. The director never loads it.

export * from './parse';
export * from './wire/ah';
export * from './wire/byte-order';
export * from './wire/checksum';
export * from './wire/esp';
export * from './wire/ethernet';
export * from './wire/gre';
export * from './wire/gue';
export * from './wire/icmp';
export * from './wire/ipv4';
export * from './wire/ipv6';
export * from './wire/sctp';
export * from './wire/crc32c-table';
export * from './wire/tcp';
export * from './wire/udp';
