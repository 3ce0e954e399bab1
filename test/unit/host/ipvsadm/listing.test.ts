import { describe, expect, test } from 'vitest';
import type { ConnectionEntry, Statistics } from '../../../../host/ipvs/types.ts';
import { largeNumber } from '../../../../host/ipvsadm/format.ts';
import { FakeControl } from './fake-control.ts';
import { run, setUp } from './support.ts';

describe('largeNumber', () => {
  test.each([
    [0n, false, '        0'],
    [99_999_999n, false, ' 99999999'],
    [100_000_000n, false, '  100000K'],
    [999_999_999n, false, '  999999K'],
    [1_000_000_000n, false, '    1000M'],
    [99_999_999_999n, false, '   99999M'],
    [100_000_000_000n, false, '     100G'],
    [99_999_999_999_999n, false, '   99999G'],
    [100_000_000_000_000n, false, '     100T'],
    [2n ** 64n - 1n, false, '18446744T'],
    [7n, true, '        7'],
    [12_345_678n, true, ' 12345678'],
    [123_456_789n, true, ' 123456789'],
    [2n ** 64n - 1n, true, ' 18446744073709551615'],
  ])('%s, exact %s: "%s"', (value, isExact, text) => {
    expect(largeNumber(value, isExact)).toBe(text);
  });
});

const BUSY: Statistics = {
  connections: 2n ** 32n + 5n,
  inPackets: 123_456_789n,
  outPackets: 12n,
  inBytes: 2n ** 32n + 5n,
  outBytes: 5_000_000_000_000n,
  connectionRate: 150_000_000,
  inPacketRate: 7,
  outPacketRate: 0,
  inByteRate: 2_000_000_000,
  outByteRate: 99,
};

describe('counters', () => {
  function busyControl(): FakeControl {
    const control = new FakeControl();
    setUp(control, '-A -t 192.0.2.80:80 -s rr', '-a -t 192.0.2.80:80 -r 10.0.0.1 -m');
    control.serviceView = (entry) => ({ ...entry, statistics: BUSY });
    control.serverView = (entry) => ({ ...entry, statistics: BUSY });
    return control;
  }

  test('--stats shortens large ones and cuts those of servers to 32 bits', () => {
    expect(run(busyControl(), '-Ln --stats').stdout.split('\n').slice(3, 5)).toEqual([
      'TCP  192.0.2.80:80                   4294M  123456K       12    4294M    5000G',
      '  -> 10.0.0.1:80                         5  123456K       12    4294M    5000G',
    ]);
  });

  test('--rate shortens only the bytes of servers', () => {
    expect(run(busyControl(), '-Ln --rate').stdout.split('\n').slice(3, 5)).toEqual([
      'TCP  192.0.2.80:80                 150000K        7        0    2000M       99',
      '  -> 10.0.0.1:80                  150000000        7        0    2000M       99',
    ]);
  });

  test('--exact shortens nothing', () => {
    expect(run(busyControl(), '-Ln --stats --exact').stdout.split('\n')[3]).toBe(
      'TCP  192.0.2.80:80                4294967301 123456789       12 4294967301 ' +
        '5000000000000',
    );
  });
});

describe('connections', () => {
  const TEMPLATE: ConnectionEntry = {
    protocol: 0,
    family: 4,
    clientAddress: '198.51.100.0',
    clientPort: 0,
    virtualAddress: '0.0.0.1',
    virtualPort: 0,
    destinationFamily: 4,
    destinationAddress: '10.0.0.13',
    destinationPort: 0,
    state: 'ASSURED',
    expiresSeconds: 299,
    engine: '',
    engineData: '',
    origin: 'LOCAL',
  };
  const CONNECTION: ConnectionEntry = {
    ...TEMPLATE,
    protocol: 6,
    clientAddress: '198.51.100.1',
    clientPort: 1001,
    virtualAddress: '192.0.2.80',
    virtualPort: 80,
    destinationPort: 8080,
    state: 'ESTABLISHED',
    expiresSeconds: 6_005,
  };
  const control = new FakeControl();
  control.connectionEntries = [
    CONNECTION,
    TEMPLATE,
    { ...CONNECTION, protocol: 17, state: 'UDP', engine: 'sip', engineData: 'call 7@host' },
    {
      ...CONNECTION,
      family: 6,
      clientAddress: '2001:db8::1',
      virtualAddress: '2001:db8:1::80',
      state: 'SYN_RECV',
      expiresSeconds: 0,
    },
  ];

  test('-c has minutes and seconds, IP for templates of marks, brackets for IPv6', () => {
    expect(run(control, '-Lnc').stdout.split('\n')).toEqual([
      'IPVS connection entries',
      'pro expire state       source             virtual            destination',
      'TCP 100:05 ESTABLISHED 198.51.100.1:1001  192.0.2.80:80      10.0.0.13:8080',
      'IP  04:59  ASSURED     198.51.100.0:0     0.0.0.1:0          10.0.0.13:0',
      'UDP 100:05 UDP         198.51.100.1:1001  192.0.2.80:80      10.0.0.13:8080',
      'TCP 00:00  SYN_RECV    [2001:db8::1]:1001 [2001:db8:1::80]:80 10.0.0.13:8080',
      '',
    ]);
  });

  test('-c --persistent-conn adds the engine and its data up to a blank', () => {
    expect(run(control, '-Lnc --persistent-conn').stdout.split('\n')[4]).toBe(
      'UDP 100:05 UDP         198.51.100.1:1001  192.0.2.80:80      ' +
        '10.0.0.13:8080   sip                call',
    );
  });

  test('without -n ports have the names of their protocol', () => {
    const lines = run(control, '-L -c').stdout.split('\n');
    expect(lines[2]).toContain('192.0.2.80:http ');
    expect(lines[4]).toContain('192.0.2.80:80 ');
  });
});
