// TCP: a connection opens.

import { connect, type Socket, type TcpNetConnectOpts } from 'node:net';
import type { AddressConfig } from '../config/types.ts';
import { type Attempt, attempt } from './attempt.ts';
import type { CheckOf, Probe, ProbeTarget } from './probe.ts';

/** A probe that passes when the three-way handshake is done, and closes the connection at once. */
export function tcpProbe(target: ProbeTarget, check: CheckOf<'tcp'>): Probe {
  return (signal, localPort) =>
    attempt({ timeout: check.timeout, signal }, (running) => {
      const socket = openSocket(target, { source: check.source, localPort }, running);
      socket.once('connect', () => running.pass('connected'));
    });
}

/** Where a probe comes from; undefined: as the kernel likes it. */
export interface ProbeOrigin {
  readonly source: AddressConfig | undefined;
  readonly localPort: number | undefined;
}

/** Connects to a target; errors end the attempt, and the attempt's end closes the socket. */
export function openSocket(target: ProbeTarget, origin: ProbeOrigin, running: Attempt): Socket {
  running.waitFor('a connection');
  const socket = connect(connectOptions(target, origin));
  running.onEnd(() => socket.destroy());
  // The handler stays: an error that arrives after the result must not end the director.
  socket.on('error', (error) => running.failWith(error));
  return socket;
}

/** How to reach a target, from a given address and port if there are any. */
export function connectOptions(
  { address, port, family }: ProbeTarget,
  { source, localPort }: ProbeOrigin,
): TcpNetConnectOpts {
  return {
    host: address,
    port,
    family,
    ...(source && { localAddress: source.address }),
    ...(localPort !== undefined && { localPort }),
  };
}
