/** What the client does without HTTP: datagrams, a refused datagram, and a greeting over TCP. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { connect, isIPv6 } from 'node:net';

const ANSWER_TIMEOUT_MS = 1_000;
const ATTEMPTS_MAX = 4;
/** Sockets that wait for an answer at the same time; more only test the receivers' buffers. */
const IN_FLIGHT_MAX = 250;

export interface DatagramLoad {
  readonly address: string;
  readonly port: number;
  /** Each is a socket, and so a port, of its own. */
  readonly clients: number;
  readonly localAddresses: readonly string[];
  readonly payloadBytes?: number;
}

export interface DatagramReport {
  readonly answered: number;
  /** Another payload than was sent, or from another address than was asked. */
  readonly wrong: number;
  readonly retransmitted: number;
  readonly servers: Readonly<Record<string, number>>;
  readonly errors: Readonly<Record<string, number>>;
}

export interface Target {
  readonly address: string;
  readonly port: number;
}

export interface RefusalReport {
  /** ECONNREFUSED when the port-unreachable came, `timeout` when nothing did. */
  readonly outcome: string;
}

export interface GreetingReport {
  readonly greeting: string;
  readonly echo: string;
}

type Mutable<Type> = { -readonly [Key in keyof Type]: Type[Key] };
type Tally = Record<string, number>;
type Counts = Mutable<DatagramReport> & { servers: Tally; errors: Tally };

export async function runDatagramLoad(load: DatagramLoad): Promise<DatagramReport> {
  const counts: Counts = { answered: 0, wrong: 0, retransmitted: 0, servers: {}, errors: {} };
  let next = 0;
  async function runClients(): Promise<void> {
    while (next < load.clients) {
      const index = next;
      next += 1;
      await exchange(load, index, counts);
    }
  }
  // Sockets stay open until all are done: otherwise a port could serve two clients in turn.
  const lanes = Math.min(IN_FLIGHT_MAX, load.clients);
  await Promise.all(Array.from({ length: lanes }, runClients));
  for (const socket of openSockets.splice(0)) socket.close();
  return counts;
}

const openSockets: Socket[] = [];

async function exchange(load: DatagramLoad, index: number, counts: Counts): Promise<void> {
  const socket = newSocket(load.address);
  openSockets.push(socket);
  socket.bind(0, load.localAddresses[index % load.localAddresses.length]);
  await once(socket, 'listening');
  const payload = Buffer.alloc(load.payloadBytes ?? 32, `client ${index} `);
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
    if (attempt > 0) counts.retransmitted += 1;
    const answer = await ask(socket, payload, load);
    if (answer === undefined) continue;
    if (typeof answer === 'string') {
      counts.errors[answer] = (counts.errors[answer] ?? 0) + 1;
      continue;
    }
    const space = answer.indexOf(' ');
    const server = answer.toString('utf8', 0, space);
    counts.servers[server] = (counts.servers[server] ?? 0) + 1;
    const echo = answer.subarray(space + 1);
    if (answer.length === payload.length && echo.equals(payload.subarray(0, echo.length)))
      counts.answered += 1;
    else counts.wrong += 1;
    return;
  }
}

/** The answer, the code of an error, or nothing in time. */
function ask(
  socket: Socket,
  payload: Buffer,
  target: Target,
): Promise<Buffer | string | undefined> {
  return new Promise((resolve) => {
    function settle(value: Buffer | string | undefined): void {
      clearTimeout(timer);
      socket.removeAllListeners();
      socket.on('error', () => undefined);
      resolve(value);
    }
    const timer = setTimeout(() => settle(undefined), ANSWER_TIMEOUT_MS);
    socket.once('message', (message, from) => {
      const right = from.port === target.port && sameAddress(from.address, target.address);
      settle(right ? message : `answer from ${from.address} port ${from.port}`);
    });
    socket.once('error', (error) => settle(codeOf(error)));
    socket.send(payload, target.port, target.address, (error) => {
      if (error) settle(codeOf(error));
    });
  });
}

/** Only a connected socket is told about ICMP errors. */
export async function provokeRefusal(target: Target): Promise<RefusalReport> {
  const socket = newSocket(target.address);
  socket.connect(target.port, target.address);
  await once(socket, 'connect');
  const outcome = await new Promise<string>((resolve) => {
    const timer = setTimeout(() => resolve('timeout'), 2 * ANSWER_TIMEOUT_MS);
    socket.once('error', (error) => {
      clearTimeout(timer);
      resolve(codeOf(error));
    });
    socket.once('message', () => resolve('an answer'));
    socket.send('is anybody there?');
  });
  socket.close();
  return { outcome };
}

export async function talkToGreeter(target: Target): Promise<GreetingReport> {
  const socket = connect(target.port, target.address);
  socket.setTimeout(5 * ANSWER_TIMEOUT_MS, () => socket.destroy(new Error('timeout')));
  socket.setEncoding('utf8');
  const [greeting] = (await once(socket, 'data')) as [string];
  socket.write('hello\r\n');
  const [echo] = (await once(socket, 'data')) as [string];
  socket.destroy();
  return { greeting: greeting.trim(), echo: echo.trim() };
}

function newSocket(address: string): Socket {
  return createSocket(isIPv6(address) ? 'udp6' : 'udp4');
}

function sameAddress(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

function codeOf(error: Error): string {
  return (error as NodeJS.ErrnoException).code ?? error.message;
}
