// What each net.ipv4.vs.* setting does here, for its page in the documentation.

/** The settings that are kept and shown, and change nothing. */
const STORED = 'Stored only';

/** A sentence for each name, without the prefix. */
export const SYSCTL_SENTENCES: Readonly<Record<string, string>> = {
  am_droprate:
    'With `drop_packet` 3, one of so many packets that would begin a connection is dropped.',
  amemthresh: 'Pages of 4 KiB of free memory below which the defence modes 1 and 2 are on.',
  backup_only:
    "1: nothing is scheduled and clients' packets are left alone, as on a backup director.",
  cache_bypass: '1: a service by mark without a server sends packets on to where they were going.',
  conn_reuse_mode:
    'A SYN that reuses the ports of a connection in TIME_WAIT or CLOSE (2 and 3: or half closed without ' +
    'answers seen) is scheduled anew. 0: it goes where the old one went.',
  conntrack: `${STORED}: WVS has no conntrack, so nothing is ever dropped on its account.`,
  debug_level: `${STORED}: \`wvs explain\` and \`wvs capture\` show more.`,
  drop_entry:
    'Connections, mostly those not established, are dropped at random each second. Defence mode.',
  drop_packet: 'Packets that would begin a connection are dropped at a rate. Defence mode.',
  expire_nodest_conn:
    '1: connections of a removed server end at once; so do those of a server with weight 0 when a new ' +
    'SYN comes. 0: their packets are dropped until the server is back or they time out.',
  expire_quiescent_template:
    '1: a persistence template of a server with weight 0 is not used any more.',
  ignore_tunneled: `${STORED}: the packets it is about never get to the data plane.`,
  lblc_expiration: 'Seconds that `lblc` keeps an unused entry of its cache.',
  lblcr_expiration: 'The same for `lblcr`.',
  nat_icmp_send: '1: packets of nat servers that belong to no connection are refused by ICMP.',
  pmtu_disc:
    '1: a packet too long for its tunnel is refused with the MTU that fits. 0: IPv4 packets are cut.',
  run_estimation: '0: the rates and counters of `ipvsadm --stats` and `--rate` stand still.',
  schedule_icmp: '1: ICMP errors about unknown connections are scheduled (anycast, ECMP in front).',
  secure_tcp: 'The state table with shorter timeouts is used. Defence mode.',
  sloppy_sctp: '1: a connection may begin with any SCTP packet.',
  sloppy_tcp: '1: a connection may begin with any TCP packet that is no reset.',
  snat_reroute: `${STORED}: answers always go by the route to the client.`,
  sync_persist_mode: `${STORED}: there is no connection sync yet.`,
  sync_ports: `${STORED}: as above.`,
  sync_qlen_max: `${STORED}: as above. In the kernel the default depends on its memory.`,
  sync_refresh_period: `${STORED}: as above.`,
  sync_retries: `${STORED}: as above.`,
  sync_sock_size: `${STORED}: as above.`,
  sync_threshold: `${STORED}: as above.`,
  sync_version: `${STORED}: as above.`,
};
