// Where things are in a plain packet's frame: no VLAN tag, no options, no extension headers.

export const ETHERNET_SOURCE: u32 = 6;
export const ETHERNET_TYPE: u32 = 12;
export const IPV4: u32 = 14;
export const IPV4_LENGTH: u32 = 16;
export const IPV4_FRAGMENT: u32 = 20;
export const IPV4_TTL: u32 = 22;
export const IPV4_PROTOCOL: u32 = 23;
export const IPV4_SOURCE: u32 = 26;
export const IPV4_DESTINATION: u32 = 30;
export const IPV4_TRANSPORT: u32 = 34;
export const IPV6: u32 = 14;
export const IPV6_NEXT_HEADER: u32 = 20;
export const IPV6_HOP_LIMIT: u32 = 21;
export const IPV6_SOURCE: u32 = 22;
export const IPV6_DESTINATION: u32 = 38;
export const IPV6_TRANSPORT: u32 = 54;
// From the transport header on, for both families.
export const TCP_FLAGS: u32 = 13;
