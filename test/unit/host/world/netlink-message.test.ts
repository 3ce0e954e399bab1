import { describe, expect, test } from 'vitest';
import {
  attributeText,
  attributeU32,
  encodeMessage,
  encodePayload,
  NetlinkFormatError,
  parseAttributes,
  parseMessages,
} from '../../../../host/world/netlink-message.ts';
import { Random, seedFromEnvironment } from '../../../support/random.ts';

const hex = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'));

describe('messages', () => {
  test('two in a datagram, the first padded: both are found', () => {
    const datagram = hex(
      '13000000 1800 0200 07000000 00000000 01020300' + '10000000 0300 0200 08000000 00000000',
    );
    expect(parseMessages(datagram)).toEqual([
      { type: 24, flags: 2, sequence: 7, payload: hex('010203') },
      { type: 3, flags: 2, sequence: 8, payload: hex('') },
    ]);
  });

  test('a datagram in the middle of a larger buffer: offsets are its own', () => {
    const buffer = hex('ffff 10000000 0300 0200 08000000 00000000 ffff');
    expect(parseMessages(buffer.subarray(2, 18))).toHaveLength(1);
  });

  test.each([
    ['shorter than a header', '10000000 0300'],
    ['a length below the header', '0f000000 0300 0200 08000000 00000000'],
    ['a length beyond the datagram', '11000000 0300 0200 08000000 00000000'],
  ])('%s: an error', (_, text) => {
    expect(() => parseMessages(hex(text))).toThrow(NetlinkFormatError);
  });

  test('encoded: the length is the whole message, the port id stays 0', () => {
    const header = { type: 26, flags: 0x301, sequence: 5 };
    expect(encodeMessage(header, hex('0a0b'))).toEqual(
      hex('12000000 1a00 0103 05000000 00000000 0a0b'),
    );
  });
});

describe('attributes', () => {
  test('padded and nested ones: found by their type without its flags', () => {
    const attributes = parseAttributes(hex('0700 0300 6c6f00 00' + '0800 0480 78050000'));
    expect(attributeText(attributes, 3)).toBe('lo');
    expect(attributeU32(attributes, 4)).toBe(1400);
    expect(attributeU32(attributes, 5)).toBeUndefined();
    expect(attributeText(attributes, 5)).toBeUndefined();
  });

  test('a number that is shorter than four bytes: as if it were not there', () => {
    expect(attributeU32(parseAttributes(hex('0600 0400 7805')), 4)).toBeUndefined();
  });

  test.each([
    ['a length below the header', '0300 0300'],
    ['a length beyond the message', '0900 0300 6c6f0000'],
    ['three bytes', '0400 03'],
  ])('%s: an error', (_, text) => {
    expect(() => parseAttributes(hex(text))).toThrow(NetlinkFormatError);
  });

  test('encoded behind a header: aligned, read back the same', () => {
    const payload = encodePayload(hex('01020304'), [
      [1, hex('c0000201')],
      [3, hex('6100')],
    ]);
    expect(payload).toEqual(hex('01020304 0800 0100 c0000201 0600 0300 6100 0000'));
    expect(parseAttributes(payload, 4).get(3)).toEqual(hex('6100'));
  });
});

const SEED = seedFromEnvironment(1);

test(`random bytes: parsed or refused, never read beyond (seed ${SEED})`, () => {
  const random = new Random(SEED);
  for (let round = 0; round < 20_000; round++) {
    const bytes = Uint8Array.from({ length: random.below(48) }, () => random.below(256));
    if (bytes.length > 1) bytes[1] = 0;
    for (const parse of [parseMessages, parseAttributes]) {
      try {
        parse(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(NetlinkFormatError);
      }
    }
  }
});
