// What each counter of the data plane counts, for its page in the documentation.

/** A sentence for each name of COUNTER_NAMES (host/stats/counter-names.ts). */
export const COUNTER_SENTENCES: Readonly<Record<string, string>> = {
  'packets-received': 'Frames taken from the receive rings.',
  'packets-transmitted': 'Packets handed to the transmit rings; fragments count one each.',
  'packets-passed-to-the-director':
    "Packets left to the director's own stack; only a replay has a way there.",
  'packets-held-as-fragments':
    'Packets that wait: fragments for the rest of their datagram, answers for the MAC address of ' +
    'their client.',
  'connections-created': 'Connections and persistence templates made.',
  'connections-expired': 'Connections and persistence templates ended.',
  'resets-sent-to-clients':
    'TCP resets sent for segments to a service that belong to no connection, as the kernel would.',
  'icmp-errors-sent': 'ICMP errors the director made itself: port unreachable, time exceeded, MTU.',
  'partial-checksums-completed': 'Checksums that a virtual link had left open (see checksums.md).',
  'fragments-made': 'Fragments that packets too long for their way were cut into.',
  'icmp-errors-relayed': 'ICMP errors about connections, led to the other side.',
  'timers-late':
    'Timers of connections that ran a turn or more late: so many were due at once that packets ' +
    'would have had to wait for all of them.',
  'drop-frame-too-short': 'The frame is shorter than an Ethernet header.',
  'drop-not-an-ip-packet': 'The Ethernet type is neither IPv4 nor IPv6.',
  'drop-ipv4-header-too-short': 'The frame ends before the IPv4 header does.',
  'drop-ipv4-version-not-4': 'The Ethernet type says IPv4 and the header another version.',
  'drop-ipv4-length-beyond-frame':
    'The total length is more than the frame, or less than the header.',
  'drop-ipv4-header-checksum-wrong': 'The checksum of the IPv4 header is wrong.',
  'drop-ipv6-header-too-short': 'The frame ends before the IPv6 header does.',
  'drop-ipv6-length-beyond-frame': 'The payload length is more than the frame holds.',
  'drop-too-many-ipv6-extension-headers': 'More extension headers than are walked (see limits.md).',
  'drop-tcp-header-too-short': 'The packet ends before the TCP header does.',
  'drop-udp-header-too-short': 'The packet ends before the UDP header does.',
  'drop-sctp-header-too-short': 'The packet ends before the SCTP header and its first chunk do.',
  'drop-icmp-message-too-short': 'The packet ends before the ICMP header does.',
  'drop-icmp-checksum-wrong': 'The checksum of an ICMP error about a connection is wrong.',
  'drop-fragment-table-full': 'Too many datagrams or parts of one are waiting (see limits.md).',
  'drop-fragments-overlap': 'Fragments overlap, or disagree about where their datagram ends.',
  'drop-fragments-incomplete-in-time': 'The rest of a datagram did not come in time.',
  'drop-not-for-a-service-or-connection': "The frame's destination is not the port's MAC address.",
  'drop-no-destination-available':
    'The scheduler found no server: all have weight 0, are overloaded or gone. The client is told ' +
    'with "port unreachable".',
  'drop-destination-of-connection-removed':
    'The server of the connection was removed and expire_nodest_conn is 0.',
  'drop-connection-table-full': 'Every entry of the connection table is taken.',
  'drop-no-free-local-address-and-port':
    'Every source of the full-nat pool is taken (full-nat.md).',
  'drop-ttl-exceeded': 'The time to live or hop limit ended here; the sender is told.',
  'drop-packet-too-big-for-the-way':
    'The packet is longer than the MTU of its way and must not be cut; the sender is told.',
  'drop-no-route-to-destination': 'No route leads to the server or client.',
  'drop-neighbour-not-resolved':
    'The server, client or gateway does not answer ARP or neighbour discovery.',
  'drop-transmit-ring-full': 'The port does not send as fast as packets come.',
  'drop-no-free-frame': 'All frames are in use, so that an error, reset or fragment was not made.',
  'drop-port-down': 'The port the packet would leave by is down.',
  'drop-rescheduled-with-conntrack': 'Never: WVS has no conntrack to wait for (see sysctls.md).',
  'drop-by-defence-mode': 'Dropped by drop_packet, a packet that would have begun a connection.',
  'drop-persistence-engine-found-no-call-id': 'The persistence engine sip found no Call-ID.',
  'drop-transport-checksum-wrong': 'Never so far: the receiver checks transport checksums.',
  'drop-icmp-not-related-to-a-connection': 'An ICMP error quotes a connection that is not here.',
  'drop-no-exception-path':
    "The packet is for the director's own stack, to which AF_XDP cannot give it back; clients got " +
    'the reset or ICMP error that the stack would have sent.',
  'drop-reset-without-connection': 'A TCP reset that belongs to no connection.',
  'drop-data-plane-trapped': 'Packets in the hands of a worker when it died.',
  'drop-refused-by-ftp-helper': 'An FTP command could not be rewritten.',
  'drop-multicast-or-broadcast': 'The frame was sent to a group or to everybody.',
  'drop-frame-too-long': 'Never so far: the steering program hands over whole frames only.',
};

/** What each counter of the steering program counts; the names are the addon's. */
export const STEERING_SENTENCES: Readonly<Record<string, string>> = {
  'steered-virtual-service': 'To a virtual service.',
  'steered-firewall-mark':
    'To an address and port that a rule of `marks` marks, with a service for the mark.',
  'steered-full-nat-reply': 'To an address and port of the full-nat pool.',
  'steered-nat-reply': 'From a real server of a nat service, to an address that is not ours.',
  'steered-icmp-error-about-virtual-service': 'An ICMP error about what a service sent.',
  'steered-icmp-error-about-real-server':
    'An ICMP error about what a client sent to a real server.',
  'steered-icmp-error-about-full-nat': 'An ICMP error about what full-nat sent.',
  'steered-icmp-error-about-tunnel': 'An ICMP error about a tunnel packet.',
  'steered-fragment-to-virtual-address': 'A fragment to the address of a service.',
  'steered-fragment-from-real-server': 'A fragment from a real server.',
  'passed-not-published': 'There are no tables yet, or none any more.',
  'passed-not-ip': 'ARP and all else that is not IP.',
  'passed-vlan-tagged': 'A frame with a VLAN tag.',
  'passed-malformed': 'What cannot be read; the kernel drops and counts it.',
  'passed-local-address': "To an address of the director's own, on a port that is no service's.",
  'passed-no-service': 'Neither for us nor from a real server.',
  'passed-fragment': 'A fragment of no service and no real server.',
  'passed-icmp': 'Ping, neighbour discovery, and errors about others.',
  'passed-other-host': "To another MAC address than the port's.",
  'passed-no-socket': 'To a queue that no worker serves.',
};
