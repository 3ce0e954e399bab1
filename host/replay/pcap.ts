// Captures: classic pcap files (microseconds or nanoseconds, either byte order) and pcapng, read
// whole; pcap with nanoseconds written. Ethernet only.
//
// Formats: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-03.html and draft-ietf-opsawg-pcapng.

/** A captured frame. */
export interface CapturedFrame {
  /** Nanoseconds since the epoch. */
  readonly time: bigint;
  readonly frame: Uint8Array;
  /** Bytes the frame had on the wire; more than `frame` has when the capture cut it. */
  readonly originalLength: number;
}

/** A capture that cannot be read; the message starts with `FILE: `. */
export class CaptureError extends Error {
  readonly code = 'CAPTURE';

  constructor(file: string, problem: string) {
    super(`${file}: ${problem}`);
    this.name = 'CaptureError';
  }
}

const MAGIC_MICROSECONDS = 0xa1b2c3d4;
const MAGIC_NANOSECONDS = 0xa1b23c4d;
const PCAPNG_SECTION = 0x0a0d0d0a;
const PCAPNG_BYTE_ORDER = 0x1a2b3c4d;
const PCAPNG_INTERFACE = 1;
const PCAPNG_OBSOLETE_PACKET = 2;
const PCAPNG_SIMPLE_PACKET = 3;
const PCAPNG_ENHANCED_PACKET = 6;
const OPTION_TIMESTAMP_RESOLUTION = 9;
const OPTION_TIMESTAMP_OFFSET = 14;
const LINK_ETHERNET = 1;
const FILE_HEADER = 24;
const RECORD_HEADER = 16;
const BILLION = 1_000_000_000n;
/** Longest frame that is believed; a longer one is a sign of a broken file. */
const FRAME_BYTES_MAX = 262_144;

/**
 * Reads a capture.
 * @throws CaptureError naming the record that is wrong
 */
export function parseCapture(bytes: Uint8Array, file: string): readonly CapturedFrame[] {
  if (bytes.length < 4) throw new CaptureError(file, 'the file is too short for a capture');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0) === PCAPNG_SECTION) return new PcapngReader(view, file).read();
  for (const isLittle of [true, false]) {
    const magic = view.getUint32(0, isLittle);
    if (magic === MAGIC_MICROSECONDS) return readPcap(view, file, isLittle, 1000n);
    if (magic === MAGIC_NANOSECONDS) return readPcap(view, file, isLittle, 1n);
  }
  throw new CaptureError(file, 'this is neither a pcap nor a pcapng file');
}

function readPcap(
  view: DataView,
  file: string,
  isLittle: boolean,
  unit: bigint,
): readonly CapturedFrame[] {
  if (view.byteLength < FILE_HEADER) throw new CaptureError(file, 'the file header is cut');
  const version = view.getUint16(4, isLittle);
  if (version !== 2) throw new CaptureError(file, `pcap version ${version} is not known`);
  checkLinkType(file, view.getUint32(20, isLittle) & 0xffff);
  const frames: CapturedFrame[] = [];
  for (let at = FILE_HEADER; at < view.byteLength; ) {
    const where = `frame ${frames.length + 1}`;
    if (at + RECORD_HEADER > view.byteLength) throw new CaptureError(file, `${where} is cut`);
    const seconds = view.getUint32(at, isLittle);
    const fraction = view.getUint32(at + 4, isLittle);
    const length = view.getUint32(at + 8, isLittle);
    const originalLength = view.getUint32(at + 12, isLittle);
    const time = BigInt(seconds) * BILLION + BigInt(fraction) * unit;
    const frame = takeFrame(view, file, { at: at + RECORD_HEADER, length, what: where });
    frames.push({ time, frame, originalLength });
    at += RECORD_HEADER + length;
  }
  return frames;
}

function checkLinkType(file: string, linkType: number): void {
  if (linkType === LINK_ETHERNET) return;
  throw new CaptureError(file, `link type ${linkType} is not Ethernet`);
}

/** Where a frame's bytes are, and how it is called when something is wrong with it. */
interface FramePlace {
  readonly at: number;
  readonly length: number;
  readonly what: string;
}

function takeFrame(view: DataView, file: string, place: FramePlace): Uint8Array {
  const { at, length, what } = place;
  if (length > FRAME_BYTES_MAX) throw new CaptureError(file, `${what} claims ${length} bytes`);
  if (at + length > view.byteLength) throw new CaptureError(file, `${what} is cut`);
  return new Uint8Array(view.buffer.slice(view.byteOffset + at, view.byteOffset + at + length));
}

/** What a pcapng section says about one of its interfaces. */
interface PcapngInterface {
  /** Units of a second, and nanoseconds to add. */
  readonly unitsPerSecond: bigint;
  readonly offset: bigint;
  readonly snapLength: number;
}

class PcapngReader {
  readonly #view: DataView;
  readonly #file: string;
  readonly #frames: CapturedFrame[] = [];
  #interfaces: PcapngInterface[] = [];
  #isLittle = true;

  constructor(view: DataView, file: string) {
    this.#view = view;
    this.#file = file;
  }

  read(): readonly CapturedFrame[] {
    let block = 1;
    for (let at = 0; at < this.#view.byteLength; block++) {
      if (at + 12 > this.#view.byteLength) this.#fail(`block ${block} is cut`);
      const type = this.#view.getUint32(at, this.#isLittle);
      if (type === PCAPNG_SECTION) this.#beginSection(at);
      const length = this.#view.getUint32(at + 4, this.#isLittle);
      if (length < 12 || length % 4 !== 0) this.#fail(`block ${block} has the length ${length}`);
      if (at + length > this.#view.byteLength) this.#fail(`block ${block} is cut`);
      this.#readBlock(type, at + 8, at + length - 4);
      at += length;
    }
    return this.#frames;
  }

  #fail(problem: string): never {
    throw new CaptureError(this.#file, problem);
  }

  #beginSection(at: number): void {
    const order = this.#view.getUint32(at + 8, true);
    this.#isLittle = order === PCAPNG_BYTE_ORDER;
    if (!this.#isLittle && this.#view.getUint32(at + 8) !== PCAPNG_BYTE_ORDER) {
      this.#fail('the section header has no byte order');
    }
    this.#interfaces = [];
  }

  #readBlock(type: number, start: number, end: number): void {
    if (type === PCAPNG_INTERFACE) this.#readInterface(start, end);
    else if (type === PCAPNG_ENHANCED_PACKET) this.#readEnhanced(start, end);
    else if (type === PCAPNG_SIMPLE_PACKET) this.#readSimple(start, end);
    else if (type === PCAPNG_OBSOLETE_PACKET) this.#readObsolete(start, end);
  }

  #readInterface(start: number, end: number): void {
    checkLinkType(this.#file, this.#view.getUint16(start, this.#isLittle));
    const snapLength = this.#view.getUint32(start + 4, this.#isLittle);
    let unitsPerSecond = 1_000_000n;
    let offset = 0n;
    for (let at = start + 8; at + 4 <= end; ) {
      const code = this.#view.getUint16(at, this.#isLittle);
      const length = this.#view.getUint16(at + 2, this.#isLittle);
      if (code === 0) break;
      if (code === OPTION_TIMESTAMP_RESOLUTION && length === 1) {
        const power = this.#view.getUint8(at + 4);
        unitsPerSecond = power & 0x80 ? 2n ** BigInt(power & 0x7f) : 10n ** BigInt(power);
      } else if (code === OPTION_TIMESTAMP_OFFSET && length === 8) {
        offset = this.#view.getBigInt64(at + 4, this.#isLittle) * BILLION;
      }
      at += 4 + ((length + 3) & ~3);
    }
    this.#interfaces.push({ unitsPerSecond, offset, snapLength });
  }

  #interface(index: number): PcapngInterface {
    const found = this.#interfaces[index];
    if (found === undefined) {
      this.#fail(
        `frame ${this.#frames.length + 1} is of interface ${index}, which is not described`,
      );
    }
    return found;
  }

  #readEnhanced(start: number, end: number): void {
    if (start + 20 > end) this.#fail(`frame ${this.#frames.length + 1} is cut`);
    const from = this.#interface(this.#view.getUint32(start, this.#isLittle));
    this.#add(from, start + 4, start + 12, end);
  }

  #readObsolete(start: number, end: number): void {
    if (start + 20 > end) this.#fail(`frame ${this.#frames.length + 1} is cut`);
    const from = this.#interface(this.#view.getUint16(start, this.#isLittle));
    this.#add(from, start + 4, start + 12, end);
  }

  #add(from: PcapngInterface, timeAt: number, lengthsAt: number, end: number): void {
    const high = BigInt(this.#view.getUint32(timeAt, this.#isLittle));
    const low = BigInt(this.#view.getUint32(timeAt + 4, this.#isLittle));
    const units = (high << 32n) | low;
    const length = this.#view.getUint32(lengthsAt, this.#isLittle);
    const originalLength = this.#view.getUint32(lengthsAt + 4, this.#isLittle);
    const where = `frame ${this.#frames.length + 1}`;
    if (lengthsAt + 8 + length > end) this.#fail(`${where} is cut`);
    const frame = takeFrame(this.#view, this.#file, { at: lengthsAt + 8, length, what: where });
    const time = from.offset + (units * BILLION) / from.unitsPerSecond;
    this.#frames.push({ time, frame, originalLength });
  }

  /** A simple packet has no time: it counts as captured with the one before it. */
  #readSimple(start: number, end: number): void {
    const { snapLength } = this.#interface(0);
    const originalLength = this.#view.getUint32(start, this.#isLittle);
    const kept = snapLength === 0 ? originalLength : Math.min(originalLength, snapLength);
    const where = `frame ${this.#frames.length + 1}`;
    if (start + 4 + kept > end) this.#fail(`${where} is cut`);
    const frame = takeFrame(this.#view, this.#file, { at: start + 4, length: kept, what: where });
    this.#frames.push({ time: this.#frames.at(-1)?.time ?? 0n, frame, originalLength });
  }
}

/** Writes a capture: pcap with nanoseconds, little-endian. */
export function formatCapture(frames: readonly CapturedFrame[]): Uint8Array {
  const bytes = frames.reduce((sum, { frame }) => sum + RECORD_HEADER + frame.length, FILE_HEADER);
  const whole = new Uint8Array(bytes);
  const view = new DataView(whole.buffer);
  view.setUint32(0, MAGIC_NANOSECONDS, true);
  view.setUint16(4, 2, true);
  view.setUint16(6, 4, true);
  view.setUint32(16, FRAME_BYTES_MAX, true);
  view.setUint32(20, LINK_ETHERNET, true);
  let at = FILE_HEADER;
  for (const { time, frame, originalLength } of frames) {
    view.setUint32(at, Number(time / BILLION), true);
    view.setUint32(at + 4, Number(time % BILLION), true);
    view.setUint32(at + 8, frame.length, true);
    view.setUint32(at + 12, originalLength, true);
    whole.set(frame, at + RECORD_HEADER);
    at += RECORD_HEADER + frame.length;
  }
  return whole;
}
