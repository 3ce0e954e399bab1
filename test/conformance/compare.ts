// What it means that two recordings are equal. Frames are the same when they are equal byte for
// byte, but for what a kernel draws at random: the IPv4 identification of packets the director
// makes itself, the IPv6 identification of packets it fragments, and the UDP source port of a GUE
// tunnel (the checksums over them must then be right). Connection tables are compared as sets,
// without the seconds left; so are the services in /proc order, where the kernel's hash depends on
// an address.

import { PROTOCOL_UDP } from '../../assembly/shared/codes.ts';
import { describeFrame, GUE_PORT, packetPorts } from '../../host/replay/describe.ts';
import type { RecordedFrame, RecordedStep, Recording } from '../../host/replay/recording.ts';
import { etherType, readIpHeader, readU16, toHex } from '../../host/replay/wire.ts';

/** One difference: which step it is about, and lines of "- expected" and "+ actual". */
export interface Difference {
  readonly where: string;
  readonly lines: readonly string[];
}

const ETHERTYPE_ARP = 0x0806;
const CARRIED = / gue=| gre=| carrying | about /;

/**
 * A frame as text with its random fields replaced by zeros.
 * @param identifications those of the step's input frames, which stay as they are
 */
export function canonicalFrame(frame: Uint8Array, identifications: ReadonlySet<number>): string {
  const [outer] = describeFrame(frame).split(CARRIED);
  // What is wrong must be wrong in the same way.
  if (etherType(frame) === ETHERTYPE_ARP || outer!.includes('BAD-')) return toHex(frame);
  const copy = new Uint8Array(frame);
  const packet = copy.subarray(14);
  const header = readIpHeader(packet);
  if (header === undefined) return toHex(frame);
  if (header.family === 4 && !identifications.has(readU16(packet, 4))) {
    packet.fill(0, 4, 6);
    packet.fill(0, 10, 12);
  }
  if (header.family === 6 && packet[6] === 44) packet.fill(0, 44, 48);
  const isWhole = header.fragmentOffset === 0;
  if (header.protocol === PROTOCOL_UDP && isWhole && packetPorts(packet)[1] === GUE_PORT) {
    const at = header.transport;
    packet.fill(0, at, at + 2);
    // A right checksum counts the same whatever the port made of it; one left out does not.
    if (readU16(packet, at + 6) !== 0) packet.fill(0xee, at + 6, at + 8);
  }
  return toHex(copy);
}

function canonicalOutput(step: RecordedStep): readonly string[] {
  const identifications = new Set(
    (step.input ?? []).map(({ frame }) => (frame.length >= 20 ? readU16(frame, 18) : -1)),
  );
  return (step.output ?? []).map(
    ({ port, frame }) => `${port} ${canonicalFrame(frame, identifications)}`,
  );
}

/** The lines of a listing as they are compared: `command` says how. */
export function comparableLines(command: string, text: string): readonly string[] {
  if (/^(IPVS connection entries|Pro FromIP)/.test(text)) {
    return splitLines(text)
      .map((line) => line.replace(/\s+\d+\s*$/, '').replace(/^(\w+\s+)\d\d:\d\d/, '$1'))
      .sort();
  }
  if (command.includes('/proc/net/ip_vs') || command.includes('--nosort')) {
    return splitLines(text.replaceAll(/\n +->/g, ' ->')).sort();
  }
  return splitLines(text);
}

function splitLines(text: string): string[] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

/** Compares two recordings of the same steps; an empty list means that they are equal. */
export function compareRecordings(expected: Recording, actual: Recording): readonly Difference[] {
  const found: Difference[] = [];
  for (const [index, step] of expected.steps.entries()) {
    const other = actual.steps[index];
    if (other === undefined || other.line !== step.line) {
      found.push({
        where: nameOf(step),
        lines: [`the other has ${other?.line ?? 'no such step'}`],
      });
      return found;
    }
    found.push(...compareSteps(step, other));
  }
  if (expected.steps.length !== actual.steps.length) {
    const lines = [`${expected.steps.length} steps, ${actual.steps.length} steps`];
    found.push({ where: 'length', lines });
  }
  found.push(...compareListings('final', expected.final, actual.final));
  if ((expected.kernelLog === undefined) !== (actual.kernelLog === undefined)) {
    found.push({ where: 'kernel log', lines: ['only one of the two has one'] });
  }
  return found;
}

function nameOf(step: RecordedStep): string {
  return `${step.number} (t=${step.time}) ${step.line}`;
}

function compareSteps(expected: RecordedStep, actual: RecordedStep): Difference[] {
  const where = nameOf(expected);
  const found: Difference[] = [];
  const [one, other] = [canonicalOutput(expected), canonicalOutput(actual)];
  if (one.length !== other.length || one.some((frame, index) => frame !== other[index])) {
    found.push({ where, lines: frameDifference(expected, actual) });
  }
  if (expected.exitCode !== actual.exitCode) {
    found.push({ where, lines: [`- rc=${expected.exitCode}`, `+ rc=${actual.exitCode}`] });
  }
  const lines = lineDifference(expected.line, expected.text ?? '', actual.text ?? '');
  if (lines.length > 0) found.push({ where, lines });
  found.push(...compareListings(where, expected.lists ?? {}, actual.lists ?? {}));
  return found;
}

function frameDifference(expected: RecordedStep, actual: RecordedStep): string[] {
  const say = (sign: string, frames: readonly RecordedFrame[] | undefined) =>
    (frames ?? []).map(({ port, frame }) => {
      const to = toHex(frame.subarray(4, 6));
      return `${sign} ${port} →${to} ${describeFrame(frame)}`;
    });
  const lines = [...say('-', expected.output), ...say('+', actual.output)];
  const [minus, plus] = [expected.output ?? [], actual.output ?? []];
  // Frames can differ in bytes that the words leave out.
  if (say('', minus).join() === say('', plus).join()) {
    lines.push(...minus.map(({ frame }) => `- ${toHex(frame)}`));
    lines.push(...plus.map(({ frame }) => `+ ${toHex(frame)}`));
  }
  return lines.length > 0 ? lines : ['no frames on either side'];
}

function compareListings(
  where: string,
  expected: Readonly<Record<string, string>>,
  actual: Readonly<Record<string, string>>,
): Difference[] {
  const found: Difference[] = [];
  for (const [command, text] of Object.entries(expected)) {
    const lines = lineDifference(command, text, actual[command] ?? '');
    if (lines.length > 0) found.push({ where: `${where} ${command}`, lines });
  }
  return found;
}

function lineDifference(command: string, expected: string, actual: string): string[] {
  const one = comparableLines(command, expected);
  const other = comparableLines(command, actual);
  if (one.length === other.length && one.every((line, index) => line === other[index])) return [];
  const minus = one.filter((line) => !other.includes(line)).map((line) => `- ${line}`);
  const plus = other.filter((line) => !one.includes(line)).map((line) => `+ ${line}`);
  return minus.length + plus.length > 0 ? [...minus, ...plus] : ['the same lines in another order'];
}

/** Differences as text for a failing test, cut when there are too many to read. */
export function formatDifferences(differences: readonly Difference[], most = 12): string {
  const shown = differences.slice(0, most).flatMap(({ where, lines }) => {
    return [where, ...lines.slice(0, 24).map((line) => `    ${line}`)];
  });
  const more = differences.length - most;
  if (more > 0) shown.push(`... and ${more} more differences`);
  return shown.join('\n');
}
