// The expected texts are what Linux 6.1.192 printed for the same services, connections and counters.

import { describe, expect, it } from 'vitest';
import {
  FORWARD_DIRECT_ROUTE,
  FORWARD_TUNNEL,
  SERVICE_ONE_PACKET,
  SERVICE_PERSISTENT,
} from '../../../../assembly/shared/codes.ts';
import { procText } from '../../../../host/ipvs/proc.ts';
import type { ConnectionEntry, Statistics } from '../../../../host/ipvs/types.ts';
import { Fixture, MARK, OPTIONS, OPTIONS6, SERVER, server, WEB, WEB6 } from './control-fixture.ts';

/** A control core whose connections and totals are given. */
function sourceOf(
  fixture: Fixture,
  connections: readonly ConnectionEntry[] = [],
  totals: Partial<Statistics> = {},
): Parameters<typeof procText>[0] {
  const all: Statistics = { ...fixture.control.totals(), ...totals };
  const control = Object.create(fixture.control, {
    connections: { value: () => connections },
    totals: { value: () => all },
    services: { value: () => fixture.control.services() },
    destinations: { value: fixture.control.destinations.bind(fixture.control) },
    tableSize: { value: 4096 },
  });
  return { control, workerCounts: () => [[78, 78, 10, 171_360, 1280]] };
}

const HEADER = `IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
`;

describe('/proc/net/ip_vs', () => {
  it('IPv4: newest server first, two spaces behind the scheduler', () => {
    const fixture = new Fixture();
    const { control } = fixture;
    control.addService(WEB, OPTIONS);
    control.addDestination(WEB, server(11), SERVER);
    control.addDestination(WEB, server(12, 80), { ...SERVER, weight: 65_536 });
    control.addDestination(WEB, server(14, 80), { ...SERVER, forwarding: FORWARD_DIRECT_ROUTE });
    control.addDestination(WEB, server(15, 80), { ...SERVER, forwarding: FORWARD_TUNNEL });
    expect(procText(sourceOf(fixture), 'ip_vs')).toBe(
      `${HEADER}TCP  C0000250:0050 rr  \n` +
        '  -> 0A00000F:0050      Tunnel  1      0          0         \n' +
        '  -> 0A00000E:0050      Route   1      0          0         \n' +
        '  -> 0A00000C:0050      Masq    65536  0          0         \n' +
        '  -> 0A00000B:1F90      Masq    1      0          0         \n',
    );
  });

  it('IPv6: persistent, timeout in ticks, prefix length in the highest byte', () => {
    const fixture = new Fixture();
    const persistent = { ...OPTIONS6, flags: SERVICE_PERSISTENT, persistenceSeconds: 300 };
    fixture.control.addService(WEB6, { ...persistent, persistenceMask: '64' });
    const at = { family: 6, address: '2001:db8:2::12', port: 8080 } as const;
    fixture.control.addDestination(WEB6, at, SERVER);
    expect(procText(sourceOf(fixture), 'ip_vs')).toBe(
      `${HEADER}TCP  [2001:0db8:0000:0000:0000:0000:0000:0080]:0050 rr persistent 30000 40000000\n` +
        '  -> [2001:0db8:0002:0000:0000:0000:0000:0012]:1F90      ' +
        'Masq    1      0          0         \n',
    );
  });

  it('a mark, one-packet scheduling, an IPv4 mask', () => {
    const fixture = new Fixture();
    fixture.control.addService(MARK, OPTIONS);
    const sip = { ...WEB, protocol: 'udp', port: 5060 } as const;
    fixture.control.addService(sip, {
      ...OPTIONS,
      flags: SERVICE_ONE_PACKET | SERVICE_PERSISTENT,
      persistenceSeconds: 60,
      persistenceMask: '255.255.0.0',
    });
    expect(procText(sourceOf(fixture), 'ip_vs')).toBe(
      `${HEADER}UDP  C0000250:13C4 rr ops  persistent 6000 FFFF0000\nFWM  00000001 rr \n`,
    );
  });
});

const TEMPLATE: ConnectionEntry = {
  protocol: 17,
  family: 4,
  clientAddress: '198.51.100.8',
  clientPort: 0,
  virtualAddress: '192.0.2.80',
  virtualPort: 5060,
  destinationFamily: 4,
  destinationAddress: '10.0.0.11',
  destinationPort: 5060,
  state: 'NONE',
  expiresSeconds: 60,
  engine: 'sip',
  engineData: 'call-0@example',
  origin: 'LOCAL',
};

const CONNECTION6: ConnectionEntry = {
  ...TEMPLATE,
  protocol: 6,
  family: 6,
  clientAddress: '2001:db8:c::3',
  clientPort: 1003,
  virtualAddress: '2001:db8:1::80',
  virtualPort: 80,
  destinationFamily: 6,
  destinationAddress: '2001:db8:2::11',
  destinationPort: 8080,
  state: 'SYN_RECV',
  expiresSeconds: 56,
  engine: '',
  engineData: '',
};

const V6 =
  'TCP 2001:0db8:000c:0000:0000:0000:0000:0003 03EB 2001:0db8:0001:0000:0000:0000:0000:0080 0050 ' +
  '2001:0db8:0002:0000:0000:0000:0000:0011 1F90 SYN_RECV   ';

it('/proc/net/ip_vs_conn: engine and its data behind the expiry', () => {
  const source = sourceOf(new Fixture(), [TEMPLATE, CONNECTION6]);
  expect(procText(source, 'ip_vs_conn')).toBe(
    'Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n' +
      'UDP C6336408 0000 C0000250 13C4 0A00000B 13C4 NONE             60 sip call-0@example\n' +
      `${V6}      56\n`,
  );
});

it('/proc/net/ip_vs_conn_sync: the origin before the expiry', () => {
  const source = sourceOf(new Fixture(), [{ ...TEMPLATE, origin: 'SYNC' }, CONNECTION6]);
  expect(procText(source, 'ip_vs_conn_sync')).toBe(
    'Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Origin Expires\n' +
      'UDP C6336408 0000 C0000250 13C4 0A00000B 13C4 NONE        SYNC        60\n' +
      `${V6} LOCAL       56\n`,
  );
});

describe('statistics', () => {
  const totals = {
    connections: 78n,
    inPackets: 78n,
    outPackets: 10n,
    inBytes: 0x29d60n,
    outBytes: 0x500n,
    connectionRate: 1,
    inPacketRate: 1,
    inByteRate: 0x51c,
    outByteRate: 0xa,
  };

  it('/proc/net/ip_vs_stats: hexadecimal', () => {
    expect(procText(sourceOf(new Fixture(), [], totals), 'ip_vs_stats')).toBe(
      `   Total Incoming Outgoing         Incoming         Outgoing
   Conns  Packets  Packets            Bytes            Bytes
      4E       4E        A            29D60              500

 Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s
       1        1        0              51C                A
`,
    );
  });

  it('/proc/net/ip_vs_stats_percpu: a row a worker, then the totals', () => {
    expect(procText(sourceOf(new Fixture(), [], totals), 'ip_vs_stats_percpu')).toBe(
      `       Total Incoming Outgoing         Incoming         Outgoing
CPU    Conns  Packets  Packets            Bytes            Bytes
  0       4E       4E        A            29D60              500
  ~       4E       4E        A            29D60              500

     Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s
           1        1        0              51C                A
`,
    );
  });
});
