import { describe, expect, it } from 'vitest';
import type { RecordedFrame, Recording } from '../../host/replay/recording.ts';
import { buildFrame, buildPacket, completeChecksum, writeU16 } from '../../host/replay/wire.ts';
import { canonicalFrame, comparableLines, compareRecordings } from './compare.ts';

const MAC = new Uint8Array(6);

/** A UDP packet in a frame; port 6080 makes a GUE packet of it. */
function udp(identification: number, sourcePort: number, port = 53, checksum = true): Uint8Array {
  const segment = new Uint8Array(12);
  writeU16(segment, 0, sourcePort);
  writeU16(segment, 2, port);
  writeU16(segment, 4, segment.length);
  const fields = {
    source: Uint8Array.of(10, 0, 0, 1),
    destination: Uint8Array.of(10, 0, 0, 2),
    protocol: 17,
    trafficClass: 0,
    identification,
    dontFragment: false,
  };
  if (checksum) completeChecksum(segment, 6, fields);
  return buildFrame(MAC, MAC, 0x0800, buildPacket(fields, segment));
}

function recording(
  output: readonly RecordedFrame[],
  input: readonly RecordedFrame[] = [],
): Recording {
  return {
    header: { scenario: 'x', kernel: '', ipvsadm: '', sysctl: {}, ip: [], vsSysctl: '' },
    steps: [{ number: 1, time: 0, line: 'udp u', input, output, realServer: null }],
    final: {},
    kernelLog: undefined,
  };
}

describe('canonicalFrame', () => {
  it("an identification of the director's own: does not count", () => {
    expect(canonicalFrame(udp(1, 9), new Set())).toBe(canonicalFrame(udp(2, 9), new Set()));
  });

  it('an identification that came in: counts', () => {
    const came = new Set([1]);
    expect(canonicalFrame(udp(1, 9), came)).not.toBe(canonicalFrame(udp(2, 9), came));
  });

  it('a wrong checksum: is wrong in the same way or not equal', () => {
    const [one, other] = [udp(1, 9), udp(2, 9)];
    one[24] ^= 1;
    other[24] ^= 1;
    expect(canonicalFrame(one, new Set())).not.toBe(canonicalFrame(other, new Set()));
  });

  it('the source port of a GUE packet and the checksum over it: do not count', () => {
    expect(canonicalFrame(udp(1, 9, 6080), new Set())).toBe(
      canonicalFrame(udp(1, 8, 6080), new Set()),
    );
  });

  it('a checksum left out: counts', () => {
    const without = udp(1, 9, 6080, false);
    expect(canonicalFrame(udp(1, 9, 6080), new Set())).not.toBe(canonicalFrame(without, new Set()));
  });
});

describe('comparableLines', () => {
  it('connections: sorted, without the time left', () => {
    const head = 'IPVS connection entries\npro expire state\n';
    const one = comparableLines('ipvsadm -Lnc', `${head}TCP 00:59  SYN a\nTCP 01:00  SYN b\n`);
    const other = comparableLines('ipvsadm -Lnc', `${head}TCP 00:01  SYN b\nTCP 00:02  SYN a\n`);
    expect(one).toEqual(other);
  });

  it('/proc/net/ip_vs: services with their servers, in any order', () => {
    const [a, b] = ['TCP a\n  -> 1\n  -> 2\n', 'TCP b\n  -> 3\n'];
    expect(comparableLines('cat /proc/net/ip_vs', a + b)).toEqual(
      comparableLines('cat /proc/net/ip_vs', b + a),
    );
    expect(comparableLines('cat /proc/net/ip_vs', 'TCP a\n  -> 2\n  -> 1\n')).not.toEqual(
      comparableLines('cat /proc/net/ip_vs', a.slice(0, -1)),
    );
  });

  it('any other listing: line by line', () => {
    expect(comparableLines('ipvsadm -Ln', 'b\na\n')).toEqual(['b', 'a']);
  });
});

describe('compareRecordings', () => {
  it('the same frames on another port: a difference that names the step', () => {
    const frame = udp(1, 9);
    const [difference] = compareRecordings(
      recording([{ port: 'cli', frame }]),
      recording([{ port: 'srv', frame }]),
    );
    expect(difference.where).toBe('1 (t=0) udp u');
    expect(difference.lines.map((line) => line.slice(0, 5))).toEqual(['- cli', '+ srv']);
  });

  it('a frame too few: a difference', () => {
    const frame = udp(1, 9);
    expect(compareRecordings(recording([{ port: 'cli', frame }]), recording([])).length).toBe(1);
  });

  it('frames that differ where words do not tell: the bytes are shown', () => {
    const [one, other] = [udp(1, 9), udp(1, 9)];
    other[0] = 2;
    const [difference] = compareRecordings(
      recording([{ port: 'cli', frame: one }]),
      recording([{ port: 'cli', frame: other }]),
    );
    expect(difference.lines.at(-1)).toMatch(/^\+ 02/);
  });

  it('equal recordings: none', () => {
    const frame = udp(1, 9);
    const same = recording([{ port: 'cli', frame }]);
    expect(compareRecordings(same, same)).toEqual([]);
  });
});
