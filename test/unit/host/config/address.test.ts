import { isIP, SocketAddress } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  addressBytes,
  formatEndpoint,
  formatIpv4,
  formatIpv6,
  parseAddress,
  parseEndpoint,
  parseIpv4,
  parsePrefix,
} from '../../../../host/config/address.ts';

describe('parseAddress', () => {
  test.each([
    ['192.0.2.80', '192.0.2.80'],
    ['0.0.0.0', '0.0.0.0'],
    ['255.255.255.255', '255.255.255.255'],
    ['2001:db8::80', '2001:db8::80'],
    ['2001:DB8:0:0:0:0:0:80', '2001:db8::80'],
    ['2001:0db8::0080', '2001:db8::80'],
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['2001:db8:0:1:0:0:0:1', '2001:db8:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
    ['::ffff:192.0.2.1', '::ffff:192.0.2.1'],
    ['::ffff:c000:201', '::ffff:192.0.2.1'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
  ])('%s is spelled %s', (text, canonical) => {
    expect(parseAddress(text)?.address).toBe(canonical);
  });

  test.each([
    '',
    '192.0.2',
    '192.0.2.256',
    '192.0.02.1',
    '192.0.2.1.',
    ' 192.0.2.1',
    '0x7f.0.0.1',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7:8::',
    '::1::',
    ':::',
    '12345::',
    'fe80::1%eth0',
    '::192.0.2',
    '192.0.2.1::',
    '[::1]',
  ])('%j is no address', (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });

  test('every IPv6 address is spelled as inet_ntop() spells it', () => {
    const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }));
    fc.assert(
      fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
        const text = groups.map((value) => value.toString(16)).join(':');
        const reference = new SocketAddress({ family: 'ipv6', address: text }).address;
        // inet_ntop() also prints the long deprecated ::a.b.c.d with dots, RFC 5952 does not.
        fc.pre(!/^::\d+\.\d+\.\d+\.\d+$/.test(reference));
        expect(parseAddress(text)).toEqual({ family: 6, address: reference });
        expect(formatIpv6(groups)).toBe(reference);
      }),
    );
  });

  test('text is an address exactly when the platform says so', () => {
    const part = fc.constantFrom('0', '1', 'ff', '192', '255', '256', ':', '::', '.', '.', ':');
    fc.assert(
      fc.property(fc.array(part, { maxLength: 16 }), (parts) => {
        const text = parts.join('');
        expect(parseAddress(text)?.family ?? 0).toBe(isIP(text));
      }),
      { numRuns: 5_000 },
    );
  });
});

test('IPv4 addresses survive the way to a number and back', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0xffffffff }), (value) => {
      expect(parseIpv4(formatIpv4(value))).toBe(value);
    }),
  );
});

test('addressBytes gives network order', () => {
  expect([...addressBytes('192.0.2.80')]).toEqual([192, 0, 2, 80]);
  expect(Buffer.from(addressBytes('2001:db8::80')).toString('hex')).toBe(
    '20010db8000000000000000000000080',
  );
});

describe('parseEndpoint', () => {
  test.each([
    ['10.0.0.1', '10.0.0.1', undefined],
    ['10.0.0.1:80', '10.0.0.1', 80],
    ['10.0.0.1:0', '10.0.0.1', 0],
    ['2001:db8::1', '2001:db8::1', undefined],
    ['[2001:db8::1]', '2001:db8::1', undefined],
    ['[2001:db8::1]:65535', '2001:db8::1', 65535],
  ])('%s', (text, address, port) => {
    expect(parseEndpoint(text)).toMatchObject({ address, port });
  });

  test.each([
    '10.0.0.1:',
    '10.0.0.1:65536',
    '10.0.0.1:080',
    '[10.0.0.1]:80',
    '[::1',
    ':80',
    'a:80',
  ])('%j is none', (text) => {
    expect(parseEndpoint(text)).toBeUndefined();
  });

  test('what formatEndpoint writes is read again', () => {
    for (const [address, port] of [
      ['10.0.0.1', 80],
      ['2001:db8::1', 443],
    ] as const) {
      expect(parseEndpoint(formatEndpoint(address, port))).toMatchObject({ address, port });
    }
  });
});

test('parsePrefix takes a bare address as one host', () => {
  expect(parsePrefix('192.0.2.0/24')).toMatchObject({ address: '192.0.2.0', prefixLength: 24 });
  expect(parsePrefix('192.0.2.1')).toMatchObject({ prefixLength: 32 });
  expect(parsePrefix('2001:db8::/32')).toMatchObject({ family: 6, prefixLength: 32 });
  expect(parsePrefix('::')).toMatchObject({ prefixLength: 128 });
  for (const wrong of ['192.0.2.0/33', '::/129', '192.0.2.0/', '192.0.2.0/08', '192.0.2.0/1/2']) {
    expect(parsePrefix(wrong), wrong).toBeUndefined();
  }
});
