// UDP: a datagram is answered, or at least not refused. A port nobody listens on answers with an
// ICMP error, which the kernel hands to the connected socket; a host that is gone answers nothing,
// and only `requireReply` tells it from a server that has nothing to say.

import { createSocket, type Socket } from 'node:dgram';
import { needsReply } from '../config/via-vip.ts';
import { type Attempt, attempt } from './attempt.ts';
import type { CheckOf, Probe, ProbeTarget } from './probe.ts';
import type { ProbeOrigin } from './probe-tcp.ts';

/** A probe with one datagram. */
export function udpProbe(target: ProbeTarget, check: CheckOf<'udp'>): Probe {
  const payload =
    check.sendHex !== undefined
      ? Buffer.from(check.sendHex, 'hex')
      : Buffer.from(check.send ?? '', 'utf8');
  const troubleOf = replyCheck(check);
  const silencePasses = !needsReply(check);
  return (signal, localPort) =>
    attempt({ timeout: check.timeout, signal }, (running) => {
      const socket = openUdpSocket(target, { source: check.source, localPort }, running);
      socket.on('message', (reply) => {
        const trouble = troubleOf(reply);
        if (trouble === undefined) running.pass(`${reply.length} bytes answered`);
        else running.fail(trouble);
      });
      socket.once('connect', () => {
        running.waitFor('a reply');
        socket.send(payload, (error) => {
          if (error) running.failWith(error);
          else if (silencePasses) running.passAtTimeout('not refused');
        });
      });
    });
}

function replyCheck(check: CheckOf<'udp'>): (reply: Buffer) => string | undefined {
  const pattern = check.expect === undefined ? undefined : new RegExp(check.expect, 'u');
  const { expectHex, replyMin = 0, replyMax = Number.POSITIVE_INFINITY } = check;
  return (reply) => {
    if (reply.length < replyMin) {
      return `the reply has ${reply.length} bytes, expected at least ${replyMin}`;
    }
    if (reply.length > replyMax) {
      return `the reply has ${reply.length} bytes, expected at most ${replyMax}`;
    }
    if (expectHex !== undefined && !startsWithHex(reply, expectHex)) {
      return 'the reply does not start as expected';
    }
    if (pattern !== undefined && !pattern.test(reply.toString())) {
      return 'the reply does not match';
    }
    return undefined;
  };
}

/** As keepalived compares: as far as both go, `x` standing for any digit. */
function startsWithHex(reply: Buffer, expected: string): boolean {
  const actual = reply.toString('hex');
  const wanted = expected.toLowerCase();
  const length = Math.min(actual.length, wanted.length);
  for (let i = 0; i < length; i++) {
    if (wanted[i] !== 'x' && wanted[i] !== actual[i]) return false;
  }
  return true;
}

/** A UDP socket connected to a target, which thus hears of ICMP errors, and of nobody else. */
export function openUdpSocket(
  { family, address, port }: ProbeTarget,
  { source, localPort }: ProbeOrigin,
  running: Attempt,
): Socket {
  const socket = createSocket(family === 4 ? 'udp4' : 'udp6');
  running.onEnd(() => socket.close());
  socket.on('error', (error) => running.failWith(error));
  const connect = () => {
    if (!running.isOver) socket.connect(port, address);
  };
  if (source === undefined && localPort === undefined) connect();
  else socket.bind(localPort ?? 0, source?.address, connect);
  return socket;
}
