// Timeouts of the protocols' states, in ticks. `ipvsadm --set` changes three of them. Linux:
// tcp_timeouts, udp_timeouts and sctp_timeouts of ip_vs_proto_*.c, ip_vs_set_timeout().

import {
  SCTP_ESTABLISHED,
  SCTP_INIT1,
  SCTP_NONE,
  SCTP_REJECTED,
  SCTP_STATES,
  TCP_CLOSE,
  TCP_CLOSE_WAIT,
  TCP_ESTABLISHED,
  TCP_FIN_WAIT,
  TCP_LAST_ACK,
  TCP_LISTEN,
  TCP_NONE,
  TCP_STATES,
  TCP_SYN_RECV,
  TCP_SYN_SENT,
  TCP_SYNACK,
  TCP_TIME_WAIT,
} from '../../assembly/shared/codes.ts';
import { TICKS_PER_SECOND } from '../../assembly/shared/limits.ts';
import type { TimeoutTables } from '../tables/encode.ts';
import { SECONDS_MAX } from './sysctls.ts';
import { IpvsError, type Timeouts } from './types.ts';

/** Seconds by TCP_* state. */
const TCP_SECONDS: readonly (readonly [number, number])[] = [
  [TCP_NONE, 2],
  [TCP_ESTABLISHED, 15 * 60],
  [TCP_SYN_SENT, 2 * 60],
  [TCP_SYN_RECV, 60],
  [TCP_FIN_WAIT, 2 * 60],
  [TCP_TIME_WAIT, 2 * 60],
  [TCP_CLOSE, 10],
  [TCP_CLOSE_WAIT, 60],
  [TCP_LAST_ACK, 30],
  [TCP_LISTEN, 2 * 60],
  [TCP_SYNACK, 120],
];

/** Seconds of an SCTP state that is not named below: the greatest RTO, and one. */
const SCTP_SECONDS = 61;
const SCTP_SECONDS_BY_STATE: readonly (readonly [number, number])[] = [
  [SCTP_NONE, 2],
  [SCTP_INIT1, 4],
  [SCTP_REJECTED, 4],
  [SCTP_ESTABLISHED, 15 * 60],
];

const UDP_SECONDS = 5 * 60;

/** The tables in force. */
export class ProtocolTimeouts {
  readonly #tcp = new Array<number>(TCP_STATES).fill(0);
  readonly #sctp = new Array<number>(SCTP_STATES).fill(SCTP_SECONDS * TICKS_PER_SECOND);
  #udp = UDP_SECONDS * TICKS_PER_SECOND;

  constructor() {
    for (const [state, seconds] of TCP_SECONDS) this.#tcp[state] = seconds * TICKS_PER_SECOND;
    for (const [state, seconds] of SCTP_SECONDS_BY_STATE) {
      this.#sctp[state] = seconds * TICKS_PER_SECOND;
    }
  }

  /** In seconds. */
  read(): Timeouts {
    return {
      tcp: Math.floor(this.#tcp[TCP_ESTABLISHED] / TICKS_PER_SECOND),
      tcpFin: Math.floor(this.#tcp[TCP_FIN_WAIT] / TICKS_PER_SECOND),
      udp: Math.floor(this.#udp / TICKS_PER_SECOND),
    };
  }

  /**
   * Sets those that are not 0.
   * @throws IpvsError EINVAL, and nothing is set
   */
  write(timeouts: Timeouts): void {
    for (const [name, seconds] of Object.entries(timeouts)) {
      if (Number.isInteger(seconds) && seconds >= 0 && seconds <= SECONDS_MAX) continue;
      throw new IpvsError('EINVAL', `a timeout of ${seconds} seconds (${name}) cannot be set`);
    }
    const { tcp, tcpFin, udp } = timeouts;
    if (tcp !== 0) this.#tcp[TCP_ESTABLISHED] = tcp * TICKS_PER_SECOND;
    if (tcpFin !== 0) this.#tcp[TCP_FIN_WAIT] = tcpFin * TICKS_PER_SECOND;
    if (udp !== 0) this.#udp = udp * TICKS_PER_SECOND;
  }

  /** In ticks, by state. */
  tables(): TimeoutTables {
    return { tcp: [...this.#tcp], sctp: [...this.#sctp], udp: this.#udp };
  }
}
