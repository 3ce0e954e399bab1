// DNS over UDP (RFC 1035): a query is answered without an error. Written by hand, because what has
// to be known, the response code, is what resolvers hide.

import { randomInt } from 'node:crypto';
import { attempt } from './attempt.ts';
import type { CheckOf, Probe, ProbeTarget } from './probe.ts';
import { openUdpSocket } from './probe-udp.ts';

const HEADER_BYTES = 12;
const FLAG_RESPONSE = 0x8000;
const FLAG_RECURSION_DESIRED = 0x0100;
const MASK_RESPONSE_CODE = 0x000f;
const CLASS_INTERNET = 1;
const LABEL_BYTES_MAX = 63;

const RECORD_TYPES = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
} as const;

const RESPONSE_CODES = ['NOERROR', 'FORMERR', 'SERVFAIL', 'NXDOMAIN', 'NOTIMP', 'REFUSED'];

/** A probe with one query; like keepalived's it passes on an answer with the code NOERROR. */
export function dnsProbe(target: ProbeTarget, check: CheckOf<'dns'>): Probe {
  const name = check.name ?? '.';
  const record = check.record ?? 'SOA';
  return (signal, localPort) =>
    attempt({ timeout: check.timeout, signal }, (running) => {
      const id = randomInt(0x10000);
      const query = encodeQuery(id, name, RECORD_TYPES[record]);
      if (query === undefined) {
        running.giveUp(`"${name}" is no domain name`);
        return;
      }
      const socket = openUdpSocket(target, { source: check.source, localPort }, running);
      socket.on('message', (reply) => {
        const code = responseCode(reply, id);
        // An answer to something else, such as an earlier probe from the same port.
        if (code === undefined) return;
        const word = RESPONSE_CODES[code] ?? `code ${code}`;
        if (code === 0) running.pass(word);
        else running.fail(`answered ${word} for ${record} ${name}`);
      });
      socket.once('connect', () => {
        running.waitFor('an answer');
        socket.send(query, (error) => {
          if (error) running.failWith(error);
        });
      });
    });
}

/** A query with one question, or undefined when the name cannot be encoded. */
export function encodeQuery(id: number, name: string, type: number): Buffer | undefined {
  const labels = name.replace(/\.$/, '').split('.');
  const encoded = labels.length === 1 && labels[0] === '' ? [] : labels.map(encodeLabel);
  if (encoded.includes(undefined)) return undefined;
  const question = Buffer.alloc(5);
  question.writeUInt16BE(type, 1);
  question.writeUInt16BE(CLASS_INTERNET, 3);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE(FLAG_RECURSION_DESIRED, 2);
  header.writeUInt16BE(1, 4);
  return Buffer.concat([header, ...encoded.filter((label) => label !== undefined), question]);
}

function encodeLabel(label: string): Buffer | undefined {
  const bytes = Buffer.from(label, 'utf8');
  if (bytes.length === 0 || bytes.length > LABEL_BYTES_MAX) return undefined;
  return Buffer.concat([Buffer.of(bytes.length), bytes]);
}

/** The response code of an answer to query `id`, or undefined when it is none. */
export function responseCode(reply: Buffer, id: number): number | undefined {
  if (reply.length < HEADER_BYTES || reply.readUInt16BE(0) !== id) return undefined;
  const flags = reply.readUInt16BE(2);
  return (flags & FLAG_RESPONSE) === 0 ? undefined : flags & MASK_RESPONSE_CODE;
}
