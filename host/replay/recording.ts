// Recordings: what a kernel's IPVS (or this one) did, one JSON record a line. The first line is the
// header, then come the steps, then all the listings, then perhaps what the kernel logged.
//
// A recording that is cut, of another version or for unknown ports is refused with its line. An
// unknown field is refused too: to leave it out would be to play something else than was recorded.

import { fromHex } from './wire.ts';

/** A frame on one of the director's ports. */
export interface RecordedFrame {
  readonly port: string;
  readonly frame: Uint8Array;
  /** The frame in words; output frames only. */
  readonly description?: string;
}

/** The first record: where it was recorded, and the world around the director. */
export interface RecordingHeader {
  readonly scenario: string;
  readonly kernel: string;
  readonly ipvsadm: string;
  /** Settings outside net.ipv4.vs. */
  readonly sysctl: Readonly<Record<string, string | number>>;
  /** Lines for `ip -batch`: links, addresses, neighbours, routes. */
  readonly ip: readonly string[];
  /** `net.ipv4.vs.NAME = VALUE` lines. */
  readonly vsSysctl: string;
}

/** One step. Which fields are there depends on what the step is. */
export interface RecordedStep {
  readonly number: number;
  /** Seconds since the start, rounded to 10 ms. */
  readonly time: number;
  readonly line: string;
  readonly input?: readonly RecordedFrame[];
  readonly output?: readonly RecordedFrame[];
  /** The real server that was chosen, null for none. */
  readonly realServer?: string | null;
  readonly exitCode?: number;
  readonly text?: string;
  readonly lists?: Readonly<Record<string, string>>;
  readonly skipped?: string;
}

/** A whole recording. */
export interface Recording {
  readonly header: RecordingHeader;
  readonly steps: readonly RecordedStep[];
  /** Listings after the last step, by the command that makes each. */
  readonly final: Readonly<Record<string, string>>;
  /** What the kernel logged, when it logged anything. */
  readonly kernelLog: string | undefined;
}

/** A recording that cannot be played; the message starts with `FILE:LINE: `. */
export class RecordingError extends Error {
  readonly code = 'RECORDING';
  readonly file: string;
  readonly line: number;

  constructor(file: string, line: number, problem: string) {
    super(`${file}:${line}: ${problem}`);
    this.name = 'RecordingError';
    this.file = file;
    this.line = line;
  }
}

type Json = Readonly<Record<string, unknown>>;

const HEADER_FIELDS = ['scenario', 'kernel', 'ipvsadm', 'sysctl', 'ip', 'vs sysctl'];
const STEP_FIELDS = ['n', 't', 'line', 'in', 'out', 'rs', 'rc', 'output', 'lists', 'skipped'];
const FRAME_FIELDS = ['if', 'hex', 'is'];
const FRAME_BYTES_MIN = 14;
/** What a virtual Ethernet device takes at most: its largest MTU and the Ethernet header. */
const FRAME_BYTES_MAX = 65535 + 14;

/** One line being read: where it is, for messages, and which ports there are. */
class Line {
  readonly #file: string;
  readonly #number: number;

  constructor(file: string, number: number) {
    this.#file = file;
    this.#number = number;
  }

  fail(problem: string): never {
    throw new RecordingError(this.#file, this.#number, problem);
  }

  object(value: unknown, what: string): Json {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      this.fail(`${what} is not an object`);
    }
    return value as Json;
  }

  onlyFields(record: Json, known: readonly string[], what: string): void {
    const unknown = Object.keys(record).find((field) => !known.includes(field));
    if (unknown !== undefined) {
      this.fail(`${what} has the unknown field '${unknown}' (a recording of another version?)`);
    }
  }

  text(record: Json, field: string): string {
    const value = record[field];
    if (typeof value !== 'string') this.fail(`'${field}' is missing or is no text`);
    return value;
  }

  texts(value: unknown, field: string): Readonly<Record<string, string>> {
    const record = this.object(value, `'${field}'`);
    for (const key of Object.keys(record)) this.text(record, key);
    return record as Readonly<Record<string, string>>;
  }

  number(record: Json, field: string): number {
    const value = record[field];
    if (typeof value !== 'number' || !Number.isFinite(value)) {
      this.fail(`'${field}' is missing or is no number`);
    }
    return value;
  }
}

/**
 * Reads a recording.
 * @param text the file's content
 * @param file its name, for messages
 * @throws RecordingError at the first thing that is wrong
 */
export function parseRecording(text: string, file: string): Recording {
  const lines = text.split('\n');
  // What follows the last line's end is empty, unless the file was cut inside a line.
  if (lines.at(-1) === '') lines.pop();
  else throw new RecordingError(file, lines.length, 'the recording is cut inside this line');
  if (lines.length === 0) throw new RecordingError(file, 1, 'the recording is empty');
  const records = lines.map((line, index) => parseLine(line, file, index + 1));

  const header = readHeader(records[0], new Line(file, 1));
  const ports = portNames(header);
  const last = records.findIndex((record) => 'final' in record);
  if (last < 0) {
    throw new RecordingError(
      file,
      lines.length,
      'the recording ends here: its listings are cut off',
    );
  }
  const steps: RecordedStep[] = [];
  for (const [index, record] of records.slice(1, last).entries()) {
    const step = readStep(record, ports, new Line(file, index + 2));
    const before = steps.at(-1);
    if (before !== undefined && step.time < before.time) {
      throw new RecordingError(file, index + 2, `the time runs backwards to ${step.time}`);
    }
    steps.push(step);
  }
  const end = new Line(file, last + 1);
  end.onlyFields(records[last], ['final'], 'the record of the final listings');
  const final = end.texts(records[last].final, 'final');
  return { header, steps, final, kernelLog: readKernelLog(records, last, file) };
}

function parseLine(line: string, file: string, number: number): Json {
  try {
    const value: unknown = JSON.parse(line);
    return new Line(file, number).object(value, 'the record');
  } catch (error) {
    if (error instanceof RecordingError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new RecordingError(file, number, `not a JSON record: ${reason}`);
  }
}

function readHeader(record: Json, line: Line): RecordingHeader {
  if (!('scenario' in record)) line.fail('the first record is no header');
  line.onlyFields(record, HEADER_FIELDS, 'the header');
  const sysctl = line.object(record.sysctl, "'sysctl'");
  for (const [name, value] of Object.entries(sysctl)) {
    if (typeof value !== 'string' && typeof value !== 'number') {
      line.fail(`the setting ${name} is neither a number nor text`);
    }
  }
  const ip = record.ip;
  if (!Array.isArray(ip) || !ip.every((entry) => typeof entry === 'string')) {
    line.fail("'ip' is no list of lines for ip -batch");
  }
  return {
    scenario: line.text(record, 'scenario'),
    kernel: line.text(record, 'kernel'),
    ipvsadm: line.text(record, 'ipvsadm'),
    sysctl: sysctl as Readonly<Record<string, string | number>>,
    ip: ip as readonly string[],
    vsSysctl: line.text(record, 'vs sysctl'),
  };
}

/** The director's ports: the links its `ip` lines add, in their order. */
export function portNames(header: RecordingHeader): readonly string[] {
  const names = header.ip.map((line) => /^link add (?:name )?(\S+)/.exec(line)?.[1]);
  return names.filter((name) => name !== undefined);
}

function readStep(record: Json, ports: readonly string[], line: Line): RecordedStep {
  if (!('n' in record)) line.fail('the record is neither a step nor the final listings');
  line.onlyFields(record, STEP_FIELDS, 'the step');
  const realServer = record.rs;
  if (realServer !== undefined && realServer !== null && typeof realServer !== 'string') {
    line.fail("'rs' is neither an address nor null");
  }
  return {
    number: line.number(record, 'n'),
    time: line.number(record, 't'),
    line: line.text(record, 'line'),
    ...('in' in record && { input: readFrames(record.in, 'in', ports, line) }),
    ...('out' in record && { output: readFrames(record.out, 'out', ports, line) }),
    ...(realServer !== undefined && { realServer }),
    ...('rc' in record && { exitCode: line.number(record, 'rc') }),
    ...('output' in record && { text: line.text(record, 'output') }),
    ...('lists' in record && { lists: line.texts(record.lists, 'lists') }),
    ...('skipped' in record && { skipped: line.text(record, 'skipped') }),
  };
}

function readFrames(
  value: unknown,
  field: string,
  ports: readonly string[],
  line: Line,
): readonly RecordedFrame[] {
  if (!Array.isArray(value)) line.fail(`'${field}' is no list of frames`);
  return value.map((entry: unknown) => {
    const record = line.object(entry, `a frame of '${field}'`);
    line.onlyFields(record, FRAME_FIELDS, `a frame of '${field}'`);
    const port = line.text(record, 'if');
    if (!ports.includes(port)) {
      line.fail(`unknown port '${port}': the header has ${ports.join(', ') || 'none'}`);
    }
    const frame = fromHex(line.text(record, 'hex'));
    if (frame === undefined) line.fail(`a frame of '${field}' is not written in hexadecimal`);
    if (frame.length < FRAME_BYTES_MIN || frame.length > FRAME_BYTES_MAX) {
      line.fail(`a frame of '${field}' has ${frame.length} bytes`);
    }
    const description = record.is === undefined ? {} : { description: line.text(record, 'is') };
    return { port, frame, ...description };
  });
}

function readKernelLog(records: readonly Json[], last: number, file: string): string | undefined {
  const record = records[last + 1];
  if (record === undefined) return undefined;
  const line = new Line(file, last + 2);
  line.onlyFields(record, ['dmesg'], 'the record after the final listings');
  if (records.length > last + 2) {
    throw new RecordingError(file, last + 3, 'there should be nothing after the kernel log');
  }
  return line.text(record, 'dmesg');
}

/** Writes a recording, one record a line, in the fields' order of the recordings. */
export function formatRecording(recording: Recording): string {
  const { header, steps, final, kernelLog } = recording;
  const records: Json[] = [
    {
      scenario: header.scenario,
      kernel: header.kernel,
      ipvsadm: header.ipvsadm,
      sysctl: header.sysctl,
      ip: header.ip,
      'vs sysctl': header.vsSysctl,
    },
    ...steps.map(stepRecord),
    { final },
  ];
  if (kernelLog !== undefined) records.push({ dmesg: kernelLog });
  return records.map((record) => `${JSON.stringify(record)}\n`).join('');
}

function stepRecord(step: RecordedStep): Json {
  return {
    n: step.number,
    t: step.time,
    line: step.line,
    ...(step.exitCode !== undefined && { rc: step.exitCode }),
    ...(step.text !== undefined && { output: step.text }),
    ...(step.lists && { lists: step.lists }),
    ...(step.skipped !== undefined && { skipped: step.skipped }),
    ...(step.input && { in: step.input.map(frameRecord) }),
    ...(step.output && { out: step.output.map(frameRecord) }),
    ...(step.realServer !== undefined && { rs: step.realServer }),
  };
}

function frameRecord({ port, frame, description }: RecordedFrame): Json {
  const hex = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength).toString('hex');
  return { if: port, hex, ...(description !== undefined && { is: description }) };
}
