/**
 * The state machines of IPVS's connections as tables to be read: net/netfilter/ipvs/ip_vs_proto_tcp.c
 * and ip_vs_proto_sctp.c say the same. A row is an event, a column the state before, a cell the
 * state after; "in-only" is for packets from the client while no answer has been seen.
 */

const TCP = `
  in                NO ES SS SR FW TW CL CW LA LI SA
  syn               SR ES ES SR SR SR SR SR SR SR SR
  fin               CL CW SS TW TW TW CL CW LA LI TW
  ack               ES ES SS ES FW TW CL CW CL LI ES
  rst               CL CL CL SR CL CL CL CL LA LI SR
  out               NO ES SS SR FW TW CL CW LA LI SA
  syn               SS ES SS SR SS SS SS SS SS LI SR
  fin               TW FW SS TW FW TW CL TW LA LI TW
  ack               ES ES SS ES FW TW CL CW LA ES ES
  rst               CL CL SS CL CL TW CL CL CL CL CL
  in-only           NO ES SS SR FW TW CL CW LA LI SA
  syn               SR ES ES SR SR SR SR SR SR SR SR
  fin               CL FW SS TW FW TW CL CW LA LI TW
  ack               ES ES SS ES FW TW CL CW CL LI ES
  rst               CL CL CL SR CL CL CL CL LA LI CL
`;

/** While secure_tcp is active. */
const TCP_SECURE = `
  in                NO ES SS SR FW TW CL CW LA LI SA
  syn               SR ES ES SR SR SR SR SR SR SR SA
  fin               CL CW SS TW TW TW CL CW LA LI SA
  ack               ES ES SS SR FW TW CL CW CL LI SA
  rst               CL CL CL SR CL CL CL CL LA LI CL
  out               NO ES SS SR FW TW CL CW LA LI SA
  syn               SS ES SS SA SS SS SS SS SS LI SA
  fin               TW FW SS TW FW TW CL TW LA LI TW
  ack               ES ES SS ES FW TW CL CW LA ES ES
  rst               CL CL SS CL CL TW CL CL CL CL CL
  in-only           NO ES SS SR FW TW CL CW LA LI SA
  syn               SA ES ES SR SA SA SA SA SA SA SA
  fin               CL FW SS TW FW TW CL CW LA LI TW
  ack               ES ES SS ES FW TW CL CW CL LI ES
  rst               CL CL CL SR CL CL CL CL LA LI CL
`;

const SCTP = `
  in                NO I1 IN CS CR CW CO CE ES SS SR SA RJ CL
  data              ES I1 IN CS CR CW CO CE ES SS SR SA RJ CL
  init              I1 IN IN CS CR CW CO CE ES SS SR SA IN IN
  init-ack          CW CW CW CS CR CO CO CE ES SS SR SA RJ CL
  cookie-echo       CR IN IN CR CR CW CO CE ES SS SR SA RJ CL
  cookie-ack        ES I1 IN CS CR CW CO ES ES SS SR SA RJ CL
  shutdown          SR I1 IN CS CR CW CO CE SR SS SR SA RJ CL
  shutdown-ack      CL IN IN CS CR CW CO CE ES CL SR CL RJ CL
  shutdown-complete CL CL CL CS CR CW CO CE ES SS SR CL RJ CL
  error             CL I1 IN CS CR CW CO CL ES SS SR SA RJ CL
  abort             CL CL CL CL CL RJ CL CL CL CL CL CL CL CL
  out               NO I1 IN CS CR CW CO CE ES SS SR SA RJ CL
  data              ES I1 IN CS CR CW CO CE ES SS SR SA RJ CL
  init              CW CW CW CW CW CW CW CW ES CW CW CW CW CW
  init-ack          CS CS CS CS CR CW CO CE ES SS SR SA RJ CL
  cookie-echo       CE CE CE CE CE CE CE CE ES SS SR SA RJ CL
  cookie-ack        ES ES ES ES ES ES ES ES ES SS SR SA RJ CL
  shutdown          SS SS SS SS SS SS SS SS SS SS SR SA RJ CL
  shutdown-ack      SA SA SA SA SA CW CO CE ES SA SA SA RJ CL
  shutdown-complete CL I1 IN CS CR CW CO CE ES SS SR SA RJ CL
  error             CL CL CL CL CL CW CO CE ES SS SR SA RJ CL
  abort             CL RJ CL CL CL CL CL CL CL CL CL CL CL CL
  in-only           NO I1 IN CS CR CW CO CE ES SS SR SA RJ CL
  data              ES I1 IN CS CR ES CO CE ES SS SR SA RJ CL
  init              I1 IN IN IN IN IN CO CE ES SS SR SA IN IN
  init-ack          CE CE CE CE CE CE CO CE ES SS SR SA RJ CL
  cookie-echo       ES ES ES ES ES ES CO CE ES SS SR SA RJ CL
  cookie-ack        ES I1 IN ES ES CW ES ES ES SS SR SA RJ CL
  shutdown          SR I1 IN CS CR CW CO CE SR SS SR SA RJ CL
  shutdown-ack      CL IN IN CS CR CW CO CE CL CL SR CL RJ CL
  shutdown-complete CL CL CL CL CL CW CO CE ES SS CL CL RJ CL
  error             CL I1 IN CS CR CW CO CE ES SS SR SA RJ CL
  abort             CL CL CL CL CL RJ CL CL CL CL CL CL CL CL
`;

export type Direction = 'in' | 'out' | 'in-only';

/** A machine: states in the order of their codes, and the next one of each. */
export interface StateMachine {
  readonly states: readonly string[];
  readonly events: readonly string[];
  next(direction: Direction, event: string, state: string): string;
}

function parseMachine(text: string): StateMachine {
  let direction = '';
  let states: string[] = [];
  const cells = new Map<string, string>();
  const events = new Set<string>();
  for (const line of text.split('\n')) {
    const [name = '', ...row] = line.trim().split(/ +/);
    if (name === '') continue;
    if (name === 'in' || name === 'out' || name === 'in-only') {
      direction = name;
      states = row;
      continue;
    }
    events.add(name);
    for (const [column, next] of row.entries()) {
      cells.set(`${direction} ${name} ${states[column]}`, next);
    }
  }
  return {
    states,
    events: [...events],
    next(of, event, state) {
      const next = cells.get(`${of} ${event} ${state}`);
      if (next === undefined) throw new Error(`no cell for ${of} ${event} ${state}`);
      return next;
    },
  };
}

export const TCP_MACHINE = parseMachine(TCP);
export const TCP_SECURE_MACHINE = parseMachine(TCP_SECURE);
export const SCTP_MACHINE = parseMachine(SCTP);

/** What TCP flags mean to the machine, by precedence; none of them closes the connection. */
export function tcpEvent(flags: string): string | undefined {
  if (flags.includes('R')) return 'rst';
  if (flags.includes('S')) return 'syn';
  if (flags.includes('F')) return 'fin';
  if (flags.includes('A')) return 'ack';
  return undefined;
}

/** States in which a connection counts as active. */
export const TCP_ACTIVE: readonly string[] = ['ES', 'SS', 'SR', 'SA'];
export const SCTP_ACTIVE: readonly string[] = ['ES'];

/** Seconds that a connection stays in a state without a packet. */
export const TCP_SECONDS: Readonly<Record<string, number>> = {
  NO: 2,
  ES: 900,
  SS: 120,
  SR: 60,
  FW: 120,
  TW: 120,
  CL: 10,
  CW: 60,
  LA: 30,
  LI: 120,
  SA: 120,
};

/** The same for SCTP; 61 where nothing is said. */
export const SCTP_SECONDS: Readonly<Record<string, number>> = { NO: 2, I1: 4, ES: 900, RJ: 4 };
export const SCTP_SECONDS_OTHERWISE = 61;
export const UDP_SECONDS = 300;

/** The tick at which Linux runs a timer set at `armed` for `armed + timeout`, in ticks. */
export function linuxTick(armed: number, timeout: number): number {
  let level = 0;
  // 63 steps of one level of the wheel begin the next, each step of which is eight times as long.
  while (level < 8 && timeout >= 63 * 8 ** level) level++;
  const step = 8 ** level;
  return (Math.floor((armed + timeout) / step) + 1) * step;
}
