// The payloads are those a Linux 6.18 sent, some of them shortened by attributes nobody reads.

import { describe, expect, test } from 'vitest';
import { NetlinkFormatError } from '../../../../host/world/netlink-message.ts';
import {
  encodeDumpRequest,
  encodeNeighbourUse,
  parseAddressMessage,
  parseLink,
  parseNeighbour,
  parseRoute,
  RTM_GETADDR,
  RTM_GETROUTE,
} from '../../../../host/world/rtnetlink.ts';

const hex = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'));

describe('links', () => {
  const payload = hex(
    '00000100 03000000 43100100 00000000' +
      '07000300 61300000' +
      '08000400 78050000' +
      '0a000100 02000000000a 0000' +
      '24001700 0100000000000000 0200000000000000 5a00000000000000 dc00000000000000',
  );

  test('a veth: name, MAC, MTU, flags, counts', () => {
    expect(parseLink(payload)).toEqual({
      ifindex: 3,
      name: 'a0',
      mac: hex('02000000000a'),
      mtu: 1400,
      flags: 0x11043,
      counts: {
        receivedPackets: 1,
        transmittedPackets: 2,
        receivedBytes: 90,
        transmittedBytes: 220,
      },
    });
  });

  test('no attributes at all: nothing but index and flags', () => {
    expect(parseLink(payload.subarray(0, 16))).toMatchObject({ ifindex: 3, name: '', mtu: 0 });
  });

  test('cut at every byte of the header: an error', () => {
    for (let length = 0; length < 16; length++) {
      expect(() => parseLink(payload.subarray(0, length))).toThrow(NetlinkFormatError);
    }
  });
});

describe('addresses', () => {
  test('IPv4: prefix, the flags of the attribute, scope', () => {
    const payload = hex('02188000 03000000 08000100 c0000201 08000200 c0000201 08000800 80000000');
    expect(parseAddressMessage(payload)).toEqual({
      ifindex: 3,
      family: 4,
      address: '192.0.2.1',
      prefixLength: 24,
      flags: 0x80,
      scope: 0,
    });
  });

  test('with a peer: the local end counts', () => {
    const payload = hex('02208000 03000000 08000100 c0000202 08000200 c0000201');
    expect(parseAddressMessage(payload)).toMatchObject({ address: '192.0.2.1', flags: 0x80 });
  });

  test('IPv6 link-local: canonical text', () => {
    const payload = hex('0a40c0fd 03000000 14000100 fe80000000000000000000fffe00000a');
    expect(parseAddressMessage(payload)).toMatchObject({
      family: 6,
      address: 'fe80::ff:fe00:a',
      prefixLength: 64,
      scope: 253,
    });
  });

  test('another family: none of ours', () => {
    expect(parseAddressMessage(hex('11180000 03000000'))).toBeUndefined();
  });

  test('without its address: an error', () => {
    expect(() => parseAddressMessage(hex('02180000 03000000'))).toThrow(NetlinkFormatError);
  });
});

describe('routes', () => {
  test('on-link, with a preferred source', () => {
    const payload = hex(
      '02180000 fe02fd01 00000000 08000f00 fe000000 08000100 c0000200' +
        '08000700 c0000201 08000400 03000000',
    );
    expect(parseRoute(payload)).toEqual({
      family: 4,
      prefix: '192.0.2.0',
      prefixLength: 24,
      table: 254,
      type: 1,
      tos: 0,
      priority: 0,
      flags: 0,
      hops: [{ ifindex: 3, gateway: undefined, isDead: false }],
      source: '192.0.2.1',
      mtu: 0,
    });
  });

  test('by a gateway, with an MTU', () => {
    const payload = hex(
      '02180000 fe030001 00000000 08000f00 fe000000 08000100 c6336400' +
        '14000800 08000100 04000000 08000200 00050000' +
        '08000700 c0000201 08000500 c00002fe 08000400 03000000',
    );
    expect(parseRoute(payload)).toMatchObject({
      prefix: '198.51.100.0',
      mtu: 1280,
      hops: [{ ifindex: 3, gateway: '192.0.2.254' }],
    });
  });

  test('by two gateways: both, with what is dead', () => {
    const payload = hex(
      '02180000 fe030001 00000000 08000f00 fe000000 08000100 cb007100' +
        '24000900 10000100 03000000 08000500 c00002fd 10000000 03000000 08000500 c00002fc',
    );
    expect(parseRoute(payload)?.hops).toEqual([
      { ifindex: 3, gateway: '192.0.2.253', isDead: true },
      { ifindex: 3, gateway: '192.0.2.252', isDead: false },
    ]);
  });

  test('IPv4 by an IPv6 gateway', () => {
    const payload = hex(
      '02180000 fe030001 00000000 08000f00 fe000000 08000100 cb007200' +
        '16001200 0a00 fe800000000000000000000000000001 0000 08000400 03000000',
    );
    expect(parseRoute(payload)?.hops[0]?.gateway).toBe('fe80::1');
  });

  test('the default route of IPv6: prefix of length 0', () => {
    const payload = hex(
      '0a000000 fe030001 00000000 08000f00 fe000000 08000600 05000000' +
        '14000500 fe800000000000000000000000000001 08000400 03000000',
    );
    expect(parseRoute(payload)).toMatchObject({
      family: 6,
      prefix: '::',
      prefixLength: 0,
      priority: 5,
      hops: [{ ifindex: 3, gateway: 'fe80::1' }],
    });
  });

  test('a blackhole: no hop', () => {
    const payload = hex('02100000 fe030006 00000000 08000f00 fe000000 08000100 0a090000');
    expect(parseRoute(payload)).toMatchObject({ type: 6, hops: [] });
  });

  test('a table beyond 255: the attribute counts', () => {
    const payload = hex('02100000 fc030001 00000000 08000f00 e8030000 08000100 0a090000');
    expect(parseRoute(payload)?.table).toBe(1000);
  });

  test.each([
    ['a hop that is too short', '0700 0000 03000000'],
    ['a hop beyond the attribute', '1400 0000 03000000'],
  ])('%s: an error', (_, hop) => {
    const bytes = hex(hop);
    const head = hex('02180000 fe030001 00000000 0c000900');
    expect(() => parseRoute(Uint8Array.of(...head, ...bytes))).toThrow(NetlinkFormatError);
  });
});

describe('neighbours', () => {
  test('IPv4, permanent', () => {
    const payload = hex(
      '02000000 03000000 8000 00 01 08000100 c00002fe 0a000200 0200000000fe 0000',
    );
    expect(parseNeighbour(payload)).toEqual({
      ifindex: 3,
      family: 4,
      address: '192.0.2.254',
      mac: hex('0200000000fe'),
      state: 0x80,
    });
  });

  test('IPv6, being resolved: no MAC', () => {
    const payload = hex('0a000000 03000000 0100 00 01 14000100 20010db8000000000000000000000002');
    expect(parseNeighbour(payload)).toMatchObject({ address: '2001:db8::2', mac: undefined });
  });

  test('an entry of a bridge: none of ours', () => {
    expect(parseNeighbour(hex('07000000 03000000 8000 00 01'))).toBeUndefined();
  });
});

describe('requests', () => {
  test('dumps: the header of the kind, all families', () => {
    expect(encodeDumpRequest(RTM_GETADDR)).toEqual(new Uint8Array(8));
    expect(encodeDumpRequest(RTM_GETROUTE)).toEqual(new Uint8Array(12));
  });

  test('the use of a neighbour: NTF_USE, no state, no MAC', () => {
    expect(encodeNeighbourUse(3, hex('c00002fe'))).toEqual(
      hex('02000000 03000000 0000 01 00 08000100 c00002fe'),
    );
    expect(encodeNeighbourUse(3, hex('fe800000000000000000000000000001'))).toEqual(
      hex('0a000000 03000000 0000 01 00 14000100 fe800000000000000000000000000001'),
    );
  });
});
