// What `wvs explain` is asked about: one packet by its protocol and its two ends.

import { PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP } from '../../assembly/shared/codes.ts';
import { addressBytes, formatEndpoint, parseEndpoint } from '../config/address.ts';
import type { ExplainRequest } from '../control/api.ts';
import { ControlError } from '../control/handlers.ts';

/** One end of a packet. */
export interface End {
  /** Canonical text. */
  readonly address: string;
  /** 4 or 16 bytes in network order. */
  readonly bytes: Uint8Array;
  /** Host order. */
  readonly port: number;
}

/** A packet, as far as decisions about it go. */
export interface Question {
  readonly family: 4 | 6;
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  /** IANA number. */
  readonly protocolNumber: number;
  readonly source: End;
  readonly destination: End;
  /** It begins a connection by its kind, TCP SYN or SCTP INIT; undefined: if there is none yet. */
  readonly isFirst: boolean | undefined;
}

const PROTOCOLS = { tcp: PROTOCOL_TCP, udp: PROTOCOL_UDP, sctp: PROTOCOL_SCTP } as const;

/**
 * Checks a request.
 * @throws ControlError invalid-request
 */
export function parseQuestion(request: ExplainRequest): Question {
  const { protocol } = request;
  if (!isProtocol(protocol)) throw refusal(`${protocol} is none of tcp, udp, sctp`);
  const source = parseEnd(request.client, 'client');
  const destination = parseEnd(request.virtual, 'virtual service');
  if (source.bytes.length !== destination.bytes.length) {
    throw refusal(`${source.address} and ${destination.address} are of different IP versions`);
  }
  return {
    family: source.bytes.length === 4 ? 4 : 6,
    protocol,
    protocolNumber: PROTOCOLS[protocol],
    source,
    destination,
    isFirst: request.first ? true : undefined,
  };
}

/** `10.0.0.1:80`, `[2001:db8::1]:80`. */
export function endText({ address, port }: Pick<End, 'address' | 'port'>): string {
  return formatEndpoint(address, port);
}

function isProtocol(text: string): text is Question['protocol'] {
  return Object.hasOwn(PROTOCOLS, text);
}

function parseEnd(text: string, what: string): End {
  const parsed = parseEndpoint(text);
  if (parsed?.port === undefined) {
    throw refusal(
      `${text} is no ADDRESS:PORT of a ${what}, such as 192.0.2.1:80 or [2001:db8::1]:80`,
    );
  }
  const { address, port } = parsed;
  return { address, bytes: addressBytes(address), port };
}

function refusal(message: string): ControlError {
  return new ControlError('invalid-request', message);
}
