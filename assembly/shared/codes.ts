// Shared by asc and tsc: plain numeric constants only. Codes that cross the border between the
// data plane and the host. Numbers that IPVS shows to users keep the kernel's values.

/** Address families, as the version field of the IP header. */
export const FAMILY_IPV4: u32 = 4;
export const FAMILY_IPV6: u32 = 6;

/** IANA protocol numbers. */
export const PROTOCOL_ANY: u32 = 0;
export const PROTOCOL_ICMP: u32 = 1;
export const PROTOCOL_IPIP: u32 = 4;
export const PROTOCOL_TCP: u32 = 6;
export const PROTOCOL_UDP: u32 = 17;
export const PROTOCOL_IPV6: u32 = 41;
export const PROTOCOL_GRE: u32 = 47;
export const PROTOCOL_ESP: u32 = 50;
export const PROTOCOL_AH: u32 = 51;
export const PROTOCOL_ICMPV6: u32 = 58;
export const PROTOCOL_SCTP: u32 = 132;

/** Forwarding methods: include/uapi/linux/ip_vs.h IP_VS_CONN_F_*; full-nat is ours. */
export const FORWARD_NAT: u32 = 0;
export const FORWARD_LOCAL: u32 = 1;
export const FORWARD_TUNNEL: u32 = 2;
export const FORWARD_DIRECT_ROUTE: u32 = 3;
export const FORWARD_BYPASS: u32 = 4;
export const FORWARD_FULL_NAT: u32 = 5;

/** Tunnel types (IP_VS_CONN_F_TUNNEL_TYPE_*) and their checksum flags (IP_VS_TUNNEL_ENCAP_FLAG_*). */
export const TUNNEL_IPIP: u32 = 0;
export const TUNNEL_GUE: u32 = 1;
export const TUNNEL_GRE: u32 = 2;
export const TUNNEL_NO_CHECKSUM: u32 = 0;
export const TUNNEL_CHECKSUM: u32 = 1;
export const TUNNEL_REMOTE_CHECKSUM: u32 = 2;

/** Schedulers, in the order of `ipvsadm -h`. */
export const SCHEDULER_RR: u32 = 1;
export const SCHEDULER_WRR: u32 = 2;
export const SCHEDULER_LC: u32 = 3;
export const SCHEDULER_WLC: u32 = 4;
export const SCHEDULER_LBLC: u32 = 5;
export const SCHEDULER_LBLCR: u32 = 6;
export const SCHEDULER_DH: u32 = 7;
export const SCHEDULER_SH: u32 = 8;
export const SCHEDULER_SED: u32 = 9;
export const SCHEDULER_NQ: u32 = 10;
export const SCHEDULER_FO: u32 = 11;
export const SCHEDULER_OVF: u32 = 12;
export const SCHEDULER_MH: u32 = 13;
export const SCHEDULER_TWOS: u32 = 14;

/** Service flags: IP_VS_SVC_F_* of the kernel. sh and mh use SCHED1 as fallback, SCHED2 as port. */
export const SERVICE_PERSISTENT: u32 = 1;
export const SERVICE_HASHED: u32 = 2;
export const SERVICE_ONE_PACKET: u32 = 4;
export const SERVICE_SCHED1: u32 = 8;
export const SERVICE_SCHED2: u32 = 16;
export const SERVICE_SCHED3: u32 = 32;
/** Ours: the persistence engine `sip`. */
export const SERVICE_ENGINE_SIP: u32 = 64;

/** Destination flags: IP_VS_DEST_F_*. */
export const DESTINATION_AVAILABLE: u32 = 1;
export const DESTINATION_OVERLOAD: u32 = 2;

/** TCP states, IP_VS_TCP_S_*. */
export const TCP_NONE: u32 = 0;
export const TCP_ESTABLISHED: u32 = 1;
export const TCP_SYN_SENT: u32 = 2;
export const TCP_SYN_RECV: u32 = 3;
export const TCP_FIN_WAIT: u32 = 4;
export const TCP_TIME_WAIT: u32 = 5;
export const TCP_CLOSE: u32 = 6;
export const TCP_CLOSE_WAIT: u32 = 7;
export const TCP_LAST_ACK: u32 = 8;
export const TCP_LISTEN: u32 = 9;
export const TCP_SYNACK: u32 = 10;
export const TCP_STATES: u32 = 11;

/** UDP states. */
export const UDP_NORMAL: u32 = 0;

/** SCTP states, IP_VS_SCTP_S_*. */
export const SCTP_NONE: u32 = 0;
export const SCTP_INIT1: u32 = 1;
export const SCTP_INIT: u32 = 2;
export const SCTP_COOKIE_SENT: u32 = 3;
export const SCTP_COOKIE_REPLIED: u32 = 4;
export const SCTP_COOKIE_WAIT: u32 = 5;
export const SCTP_COOKIE: u32 = 6;
export const SCTP_COOKIE_ECHOED: u32 = 7;
export const SCTP_ESTABLISHED: u32 = 8;
export const SCTP_SHUTDOWN_SENT: u32 = 9;
export const SCTP_SHUTDOWN_RECEIVED: u32 = 10;
export const SCTP_SHUTDOWN_ACK_SENT: u32 = 11;
export const SCTP_REJECTED: u32 = 12;
export const SCTP_CLOSED: u32 = 13;
export const SCTP_STATES: u32 = 14;

/** Template states (IP_VS_CTPL_S_*). */
export const TEMPLATE_NONE: u32 = 0;
export const TEMPLATE_ASSURED: u32 = 1;

/** Timer of a connection that has not seen a state transition yet, and of a renewed template. */
export const TIMEOUT_FIRST_SECONDS: u32 = 3;
export const TIMEOUT_CONTROLLER_SECONDS: u32 = 60;

/** What becomes of a packet. */
export const VERDICT_DROP: u32 = 0;
export const VERDICT_TRANSMIT: u32 = 1;
/** The frame is for the director's own stack; AF_XDP cannot give it back, so replay and an
 * exception path take it from here. */
export const VERDICT_PASS: u32 = 2;
/** The frame is kept (a fragment that waits for the others). */
export const VERDICT_HOLD: u32 = 3;

/** What schedule() answers when no destination can be chosen. */
export const SCHEDULE_NONE: u32 = 0;
