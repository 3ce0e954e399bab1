import { describe, expect, it } from 'vitest';
import {
  formatRecording,
  parseRecording,
  RecordingError,
} from '../../../../host/replay/recording.ts';

const HEADER = {
  scenario: 'x',
  kernel: 'k',
  ipvsadm: 'i',
  sysctl: { a: 1 },
  ip: ['link add cli address 02:00:00:00:00:01 type veth peer name cli netns peers'],
  'vs sysctl': '',
};
const FRAME = '0'.repeat(28);

function lines(...records: readonly unknown[]): string {
  return records.map((record) => `${JSON.stringify(record)}\n`).join('');
}

function refusal(text: string): string {
  try {
    parseRecording(text, 'x.jsonl');
  } catch (error) {
    expect(error).toBeInstanceOf(RecordingError);
    return (error as RecordingError).message;
  }
  throw new Error('the recording was taken');
}

describe('parseRecording', () => {
  it('a whole recording: is written again byte for byte', () => {
    const text = lines(
      HEADER,
      { n: 1, t: 0.01, line: '$ ipvsadm -C', rc: 0, output: '' },
      { n: 2, t: 0.02, line: 'frame', in: [{ if: 'cli', hex: FRAME }], out: [], rs: null },
      { n: 3, t: 0.02, line: 'rs a', skipped: 'nothing was delivered' },
      { final: { 'ipvsadm -Ln': 'text\n' } },
      { dmesg: 'said\n' },
    );
    // The recorder writes `in` before `rs`, and what a step does not have is not there.
    expect(formatRecording(parseRecording(text, 'x'))).toBe(text);
  });

  it('cut inside a line: names the line', () => {
    const text = lines(HEADER, { n: 1, t: 0, line: '$ x', rc: 0, output: '' });
    expect(refusal(text.slice(0, -5))).toMatch(/^x\.jsonl:2: .*cut inside/);
  });

  it('cut between lines: says that the listings are missing', () => {
    const text = lines(HEADER, { n: 1, t: 0, line: '$ x', rc: 0, output: '' });
    expect(refusal(text)).toMatch(/^x\.jsonl:2: .*cut off/);
  });

  it('empty: says so', () => {
    expect(refusal('')).toMatch(/^x\.jsonl:1: /);
  });

  it('not JSON: names the line', () => {
    expect(refusal(`${lines(HEADER)}nonsense\n${lines({ final: {} })}`)).toMatch(
      /^x\.jsonl:2: not a/,
    );
  });

  it('no header: line 1', () => {
    expect(refusal(lines({ final: {} }))).toMatch(/^x\.jsonl:1: .*header/);
  });

  it.each([
    ['the header', lines({ ...HEADER, version: 2 }, { final: {} }), /x\.jsonl:1: .*'version'/],
    ['a step', lines(HEADER, { n: 1, t: 0, line: 'a', odd: 1 }, { final: {} }), /:2: .*'odd'/],
    [
      'a frame',
      lines(
        HEADER,
        { n: 1, t: 0, line: 'a', in: [{ if: 'cli', hex: FRAME, vlan: 1 }] },
        { final: {} },
      ),
      /:2: .*'vlan'/,
    ],
  ])('an unknown field in %s: is refused by name', (_what, text, message) => {
    expect(refusal(text)).toMatch(message);
  });

  it('a frame on a port the header does not have: names the port and those there are', () => {
    const step = { n: 1, t: 0, line: 'a', in: [{ if: 'wan', hex: FRAME }] };
    expect(refusal(lines(HEADER, step, { final: {} }))).toBe(
      "x.jsonl:2: unknown port 'wan': the header has cli",
    );
  });

  it.each(['abc', 'zz'.repeat(14), '00'])('a frame written as %s: is refused', (hex) => {
    const step = { n: 1, t: 0, line: 'a', in: [{ if: 'cli', hex }] };
    expect(refusal(lines(HEADER, step, { final: {} }))).toMatch(/^x\.jsonl:2: a frame of 'in'/);
  });

  it('time that runs backwards: names the later line', () => {
    const step = (t: number) => ({ n: 1, t, line: 'a' });
    expect(refusal(lines(HEADER, step(2), step(1), { final: {} }))).toMatch(
      /^x\.jsonl:3: .*backwards/,
    );
  });
});
