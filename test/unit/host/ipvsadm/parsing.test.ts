import { describe, expect, test } from 'vitest';
import { formatIpv4 } from '../../../../host/config/address.ts';
import {
  addressWords,
  parseLooseIpv4,
  printedAddress,
} from '../../../../host/ipvsadm/address-text.ts';
import { parseDecimal, parseLeadingDecimal, parseMark } from '../../../../host/ipvsadm/numbers.ts';
import { OptionReader } from '../../../../host/ipvsadm/option-reader.ts';
import { OPTIONS, SERVER_COMMAND_OPTIONS } from '../../../../host/ipvsadm/options.ts';
import { Output, throughPipe } from '../../../../host/ipvsadm/output.ts';
import { parseAddressAndPort } from '../../../../host/ipvsadm/parse-address.ts';
import { OfflineResolver } from '../../../../host/ipvsadm/resolver.ts';
import { parseServices, ServiceNames } from '../../../../host/ipvsadm/services.ts';
import { Random, seedFromEnvironment } from '../../../support/random.ts';

describe('OptionReader', () => {
  /** `name`, `name=value`, `!problem of argument`, and leftovers in the end. */
  function read(words: readonly string[], specs = OPTIONS): readonly string[] {
    const reader = new OptionReader(words, specs);
    const seen: string[] = [];
    for (let item = reader.next(); item.kind !== 'end'; item = reader.next()) {
      if (item.kind === 'problem') return [...seen, `!${item.problem} of ${reader.current}`];
      const { spec, value } = item;
      const name = spec.long || spec.short;
      seen.push(value === undefined ? name : `${name}=${value}`);
    }
    for (let text = reader.takeLeftover(); text !== undefined; text = reader.takeLeftover()) {
      seen.push(`+${text}`);
    }
    return seen;
  }

  test.each([
    ['-L -n', ['list', 'numeric']],
    ['-Lnc', ['list', 'numeric', 'connection']],
    ['-w5 -w=6 --weight=7 --weight 8 -w 9', ['5', '6', '7', '8', '9'].map((w) => `weight=${w}`)],
    ['-w -1', ['weight=-1']],
    ['-p -n', ['persistent', 'numeric']],
    ['-p 5 -n', ['persistent=5', 'numeric']],
    ['-p= x', ['persistent=', '+x']],
    ['-np5', ['numeric', 'persistent=5']],
    ['a -n b -- -c', ['numeric', '+a', '+b', '+-c']],
    ['-', ['+-']],
    ['--num', ['!unknown option of --num']],
    ['-nq', ['numeric', '!unknown option of -nq']],
    ['-w', ['!missing argument of -w']],
    ['-n=1', ['!option does not take an argument of -n=1']],
    ['--numeric=', ['!option does not take an argument of --numeric=']],
  ])('%s', (line, seen) => {
    expect(read(line.split(' '))).toEqual(seen);
  });

  test('-b has an argument of its own only where it is not full-nat', () => {
    expect(read(['-b', '-w', '5'])).toEqual(['sched-flags=-w', '+5']);
    expect(read(['-b', '-w', '5'], SERVER_COMMAND_OPTIONS)).toEqual(['b', 'weight=5']);
    expect(read(['-b', 'sh-port'], SERVER_COMMAND_OPTIONS)).toEqual(['b=sh-port']);
  });
});

describe('numbers', () => {
  test.each([
    ['0', 0],
    ['007', 7],
    [' +7', 7],
    ['-1', undefined],
    ['8', undefined],
    ['7 ', undefined],
    ['0x7', undefined],
    ['', undefined],
    ['+', undefined],
  ])('parseDecimal(%j, 0, 7) is %j', (text, value) => {
    expect(parseDecimal(text, 0, 7)).toBe(value);
  });

  test('a number of any length is compared in full', () => {
    expect(parseDecimal('18446744073709551621', 0, 7)).toBeUndefined();
  });

  test('marks are from 1 to 2^32 - 1', () => {
    expect(['0', '1', '4294967295', '4294967296', '-1'].map(parseMark)).toEqual([
      undefined,
      1,
      4_294_967_295,
      undefined,
      undefined,
    ]);
  });

  test('parseLeadingDecimal takes what is there', () => {
    expect(['64x', ' 60', '-1', 'x', ''].map(parseLeadingDecimal)).toEqual([64, 60, -1, 0, 0]);
  });
});

describe('parseLooseIpv4', () => {
  test.each([
    ['192.0.2.80', '192.0.2.80'],
    ['1.2.3', '1.2.0.3'],
    ['1.65535', '1.0.255.255'],
    ['16909060', '1.2.3.4'],
    ['0x7f000001', '127.0.0.1'],
    ['017700000001', '127.0.0.1'],
    ['1.2.3.0x5', '1.2.3.5'],
    ['1.2.3.4 x', '1.2.3.4'],
    ['4294967295', '255.255.255.255'],
  ])('%s is %s', (text, address) => {
    expect(formatIpv4(parseLooseIpv4(text)!)).toBe(address);
  });

  test.each([
    '',
    '1.',
    '.1',
    '1..2',
    '256.1.1.1',
    '1.2.3.256',
    '1.2.65536',
    '4294967296',
    '1.2.3.08',
  ])('%s is none', (text) => {
    expect(parseLooseIpv4(text)).toBeUndefined();
  });

  const seed = seedFromEnvironment(3);

  test(`all spellings of an address are the same, seed ${seed}`, () => {
    const random = new Random(seed);
    for (let round = 0; round < 500; round++) {
      const value = random.u32();
      const [a, b, c, d] = formatIpv4(value).split('.').map(Number);
      const spellings = [
        formatIpv4(value),
        String(value),
        `0x${value.toString(16)}`,
        `${a}.${b}.${c! * 256 + d!}`,
        `0${a!.toString(8)}.0x${b!.toString(16)}.${c}.${d}`,
        `${a}.${b! * 65_536 + c! * 256 + d!}`,
      ];
      expect(spellings.map(parseLooseIpv4)).toEqual(spellings.map(() => value));
    }
  });
});

describe('addresses', () => {
  test.each([
    ['::1', '::1'],
    ['::', '::'],
    ['::1:80', '::0.1.0.128'],
    ['::ffff:1.2.3.4', '::ffff:1.2.3.4'],
    ['2001:db8::1', '2001:db8::1'],
    ['192.0.2.1', '192.0.2.1'],
  ])('%s is printed as %s', (address, text) => {
    expect(printedAddress(address)).toBe(text);
  });

  test('addressWords are in host order, with zeros behind IPv4', () => {
    expect(addressWords('192.0.2.80')).toEqual([0xc000_0250, 0, 0, 0]);
    expect(addressWords('2001:db8::80')).toEqual([0x2001_0db8, 0, 0, 0x80]);
  });
});

describe('parseAddressAndPort', () => {
  const resolver = new OfflineResolver();

  test.each([
    ['192.0.2.80:80', { family: 4, address: '192.0.2.80', port: 80 }],
    ['192.0.2.80', { family: 4, address: '192.0.2.80', port: undefined }],
    ['localhost:http', { family: 4, address: '127.0.0.1', port: 80 }],
    ['[2001:DB8::1]:443', { family: 6, address: '2001:db8::1', port: 443 }],
    ['2001:db8::1', { family: 6, address: '2001:db8::1', port: undefined }],
    ['[1.2.3.4]:80', { family: 4, address: '1.2.3.4', port: undefined }],
    ['80', undefined],
    ['', undefined],
    ['[::1]', undefined],
    ['[::1', undefined],
    ['[::1]80', undefined],
    ['192.0.2.80:', undefined],
    ['192.0.2.80:nosuch', undefined],
    ['nosuch:80', undefined],
  ])('%s', (text, expected) => {
    expect(parseAddressAndPort(text, 'tcp', resolver)).toEqual(expected);
  });

  test('without a protocol ports have no names', () => {
    expect(parseAddressAndPort('192.0.2.80:http', '', resolver)).toBeUndefined();
  });
});

describe('service names', () => {
  test('the shipped ones are there by name, alias and port', () => {
    const resolver = new OfflineResolver();
    expect(resolver.serviceOfPort(80, 'tcp')).toBe('http');
    expect(resolver.serviceOfPort(8080, 'tcp')).toBe('http-alt');
    expect(resolver.serviceOfPort(8443, 'tcp')).toBeUndefined();
    expect(resolver.serviceOfPort(80, 'udp')).toBeUndefined();
    expect(resolver.portOfService('www', 'tcp')).toBe(80);
    expect(resolver.portOfService('HTTP', 'tcp')).toBeUndefined();
  });

  test('services(5) is read, and the first name of a port wins', () => {
    const names = new ServiceNames(
      parseServices('# comment\na 1/tcp b # more\n\nc 1/tcp\nbad\nd x/udp\ne 2/udp\n'),
    );
    expect(names.name(1, 'tcp')).toBe('a');
    expect(names.port('b', 'tcp')).toBe(1);
    expect(names.port('c', 'tcp')).toBe(1);
    expect(names.port('d', 'udp')).toBeUndefined();
    expect(names.name(2, 'udp')).toBe('e');
  });
});

describe('throughPipe', () => {
  test('errors come before the listing they follow, but not before a full buffer', () => {
    const output = new Output();
    output.print('a'.repeat(4000));
    output.complain('first');
    output.print('b'.repeat(200));
    output.complain('second');
    expect(throughPipe(output.writes)).toBe(
      `first\n${'a'.repeat(4000)}${'b'.repeat(96)}second\n${'b'.repeat(104)}`,
    );
    expect(output.text('stderr')).toBe('first\nsecond\n');
  });
});
