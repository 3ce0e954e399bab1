import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  type AnnotatedFrame,
  pcapngHeader,
  pcapngPacket,
} from '../../../../host/capture/pcapng.ts';
import { parseCapture } from '../../../../host/replay/pcap.ts';
import { Random } from '../../../support/random.ts';

const TIME = 1_700_000_000_123_456_789n;

function annotated(frame: Uint8Array, rest: Partial<AnnotatedFrame> = {}): AnnotatedFrame {
  return {
    interface: 0,
    time: TIME,
    frame,
    originalLength: frame.length,
    isOutbound: false,
    comment: 'as it came',
    ...rest,
  };
}

function file(...packets: readonly AnnotatedFrame[]): Buffer {
  const header = pcapngHeader(['wan', 'lan'], 'test');
  return Buffer.concat([header, ...packets.map((packet) => pcapngPacket(packet))]);
}

describe('a pcapng file', () => {
  test('without packets: a header that is read', () => {
    expect(parseCapture(file(), 'x')).toEqual([]);
  });

  test('frames of every length come back, with time and original length', () => {
    const random = new Random(20_261_120);
    const packets = Array.from({ length: 40 }, (_, length) => {
      const frame = random.bytes(length);
      const rest = { time: TIME + BigInt(length), originalLength: length + 7 };
      return annotated(frame, { ...rest, comment: 'c'.repeat(length), interface: length & 1 });
    });
    const read = parseCapture(file(...packets), 'x');
    expect(read).toHaveLength(40);
    for (const [index, { frame, time, originalLength }] of read.entries()) {
      expect(frame).toEqual(packets[index]!.frame);
      expect([time, originalLength]).toEqual([TIME + BigInt(index), index + 7]);
    }
  });

  test('lengths stand at both ends of each block, in multiples of four', () => {
    const bytes = file(annotated(new Uint8Array(5), { comment: 'äöü' }));
    let blocks = 0;
    for (let at = 0; at < bytes.length; blocks++) {
      const length = bytes.readUInt32LE(at + 4);
      expect(length % 4).toBe(0);
      expect(bytes.readUInt32LE(at + length - 4)).toBe(length);
      at += length;
    }
    expect(blocks).toBe(4);
  });

  test("Wireshark's reader finds names, comments and directions", (context) => {
    const directory = mkdtempSync(join(tmpdir(), 'wvs-pcapng-'));
    const path = join(directory, 'x.pcapng');
    const sent = { interface: 1, isOutbound: true, comment: 'as it left' };
    writeFileSync(path, file(annotated(new Uint8Array(60)), annotated(new Uint8Array(60), sent)));
    const fields = ['frame.interface_name', 'frame.comment', 'frame.packet_flags_direction'];
    const wanted = [...fields, 'frame.time_epoch'].flatMap((field) => ['-e', field]);
    const options = ['-r', path, '-T', 'fields', '-E', 'separator=|', ...wanted];
    const run = spawnSync('tshark', options, { encoding: 'utf8' });
    rmSync(directory, { recursive: true });
    if (run.error !== undefined) context.skip('tshark is not installed');
    expect(run.stdout.trimEnd().split('\n')).toEqual([
      expect.stringMatching(/^wan\|as it came\|(1|0x0*1)\|1700000000\.123456789$/),
      expect.stringMatching(/^lan\|as it left\|(2|0x0*2)\|/),
    ]);
  });
});
