/**
 * The persistence engine "sip": what counts as a Call-ID, which template a packet finds by it, and
 * requests that a real server begins.
 */

import { beforeAll, describe, expect, test } from 'vitest';
import { describePacket } from '../../../host/replay/describe.ts';
import { payload, udp } from '../../support/packet-builder.ts';
import { Random, seedFromEnvironment } from '../../support/random.ts';
import { debugModule, SmallDirector } from '../../support/small-director.ts';

const SEED = seedFromEnvironment(3261);
const SIP = 5060;
const VIRTUAL = '192.0.2.80';
const CLIENT = '198.51.100.1';
const SERVERS = ['10.0.0.11', '10.0.0.12', '10.0.0.13'];
/** What the kernel takes at most (IP_VS_PEDATA_MAXLEN), and what a record keeps of it. */
const CALL_ID_MAX = 255;
const CALL_ID_KEPT = 224;

let module: WebAssembly.Module;

beforeAll(async () => {
  module = await debugModule();
});

/** Three NAT servers behind a service with the engine, round robin; `options` as of ipvsadm. */
function proxy(options = '--pe sip -p 60'): SmallDirector {
  const service = `-u ${VIRTUAL}:${SIP}`;
  return new SmallDirector(module, [
    `ipvsadm -A ${service} -s rr ${options}`,
    ...SERVERS.map((server) => `ipvsadm -a ${service} -r ${server}:${SIP} -m`),
  ]);
}

function invite(callId: string): string {
  return `INVITE sip:x@y SIP/2.0\r\nFrom: a\r\nCall-ID: ${callId}\r\n\r\n`;
}

/** A client's message; answers the server it went to, or undefined. */
function ask(director: SmallDirector, port: number, text: string, client = CLIENT) {
  const header = udp({ sourcePort: port, destinationPort: SIP });
  const [sent] = director.send(
    'cli',
    client,
    VIRTUAL,
    header,
    payload(Buffer.from(text, 'latin1')),
  );
  return sent && / > ([\d.]+):/.exec(describePacket(sent))?.[1];
}

/** A server's message to a client; answers who it seems to come from, or undefined. */
function tell(director: SmallDirector, server: string, port: number, text: string, from = SIP) {
  const header = udp({ sourcePort: from, destinationPort: port });
  const [sent] = director.send('srv', server, CLIENT, header, payload(text));
  return sent && / ([\d.]+:\d+) > /.exec(describePacket(sent))?.[1];
}

/** Templates as [client, destination, Call-ID]; a connection has no Call-ID. */
function templates(director: SmallDirector): string[][] {
  const [, ...lines] = director.run('cat /proc/net/ip_vs_conn').trimEnd().split('\n');
  return lines
    .map((line) => line.split(/ +/))
    .filter((words) => words[9] === 'sip')
    .map((words) => [words[1]!, `${words[5]} ${words[6]}`, words.slice(10).join(' ')])
    .sort();
}

describe('persistence', () => {
  test('one Call-ID stays with one server, another Call-ID or client is scheduled', () => {
    const director = proxy();
    const first = ask(director, 5060, invite('one@x'));
    expect(ask(director, 5061, invite('one@x'))).toBe(first);
    const second = ask(director, 5062, invite('two@x'));
    const third = ask(director, 5063, invite('one@x'), '198.51.100.2');
    expect(new Set([first, second, third])).toEqual(new Set(SERVERS));
    expect(
      templates(director)
        .map(([client, , callId]) => `${client} ${callId}`)
        .sort(),
    ).toEqual(['C6336401 one@x', 'C6336401 two@x', 'C6336402 one@x']);
  });

  test('a message without a Call-ID is dropped', () => {
    const director = proxy();
    expect(ask(director, 5060, 'INVITE sip:x@y SIP/2.0\r\nCall-ID: \r\n\r\n')).toBeUndefined();
    expect(ask(director, 5060, '')).toBeUndefined();
    expect(director.connections()).toEqual([]);
  });

  test('Call-IDs that only differ behind what a record keeps are told apart', () => {
    const director = proxy();
    const head = 'c'.repeat(CALL_ID_KEPT);
    const ids = [head, `${head}1`, `${head}2`, head + 'd'.repeat(CALL_ID_MAX - CALL_ID_KEPT)];
    const chosen = ids.map((id, index) => ask(director, 5060 + index, invite(id)));
    expect(templates(director)).toHaveLength(ids.length);
    expect(ids.map((id, index) => ask(director, 6060 + index, invite(id)))).toEqual(chosen);
    expect(templates(director)).toHaveLength(ids.length);
    expect(ask(director, 7000, invite(`${ids[3]}d`))).toBeUndefined();
  });

  test('a template whose server is gone is not used again', () => {
    const director = proxy();
    const first = ask(director, 5060, invite('one@x'))!;
    director.run(`ipvsadm -d -u ${VIRTUAL}:${SIP} -r ${first}:${SIP}`);
    const second = ask(director, 5061, invite('one@x'));
    expect(second).not.toBe(first);
    expect(ask(director, 5062, invite('one@x'))).toBe(second);
  });
});

describe('requests that a real server begins', () => {
  test('the request leaves with the virtual end, and its answer finds the server', () => {
    const director = proxy();
    expect(tell(director, SERVERS[1]!, 6000, invite('srv@x'))).toBe(`${VIRTUAL}:${SIP}`);
    expect(director.connections()).toEqual([
      'UDP ASSURED 198.51.100.1:0 192.0.2.80:5060 10.0.0.12:5060',
      'UDP UDP 198.51.100.1:6000 192.0.2.80:5060 10.0.0.12:5060',
    ]);
    expect(ask(director, 6000, 'whatever')).toBe(SERVERS[1]);
    expect(ask(director, 6001, invite('srv@x'))).toBe(SERVERS[1]);
  });

  test('another server with the same Call-ID takes the template over', () => {
    const director = proxy();
    tell(director, SERVERS[1]!, 6000, invite('srv@x'));
    tell(director, SERVERS[2]!, 6001, invite('srv@x'));
    expect(templates(director).map(([, destination]) => destination)).toEqual([
      '0A00000C FFFF',
      '0A00000D 13C4',
    ]);
    expect(ask(director, 6002, invite('srv@x'))).toBe(SERVERS[2]);
  });

  test('one-packet scheduling: the packet is translated and nothing but the template stays', () => {
    const director = proxy('--pe sip -p 60 -o');
    const server = ask(director, 5060, invite('one@x'))!;
    expect(tell(director, server, 5060, invite('one@x'))).toBe(`${VIRTUAL}:${SIP}`);
    expect(director.connections()).toEqual([
      `UDP ASSURED 198.51.100.1:0 192.0.2.80:5060 ${server}:5060`,
    ]);
  });

  test('without a Call-ID, from another port, or with no engine, it is routed as it is', () => {
    const director = proxy();
    const server = SERVERS[0]!;
    expect(tell(director, server, 6000, 'nothing')).toBe(`${server}:${SIP}`);
    expect(tell(director, server, 6000, invite('a'), 5061)).toBe(`${server}:5061`);
    const plain = proxy('-p 60');
    expect(tell(plain, server, 6000, invite('a'))).toBe(`${server}:${SIP}`);
    expect([...director.connections(), ...plain.connections()]).toEqual([]);
  });
});

// ---- against a slow twin

const WORD = '[\\w!"%\'()*+\\-./:<>?[\\]\\\\`{}~]';
const WORDS = new RegExp(`^(${WORD}+)(@${WORD}*)?`);
/** Blanks, and at most one line that is continued. */
const SPACE = '[ \\t]*((?:\\r\\n|\\r|\\n)[ \\t]+)?';
const HEADER = new RegExp(`^(?:call-id|i(?![a-z]))${SPACE}(:?)${SPACE}`, 'i');

/**
 * The Call-ID of a message, with the kernel's ways: the first character of a line is not looked at
 * as the end of one, and a header without a value makes it go on at a place of its own.
 */
function callIdByTwin(text: string, start = 0): string | undefined {
  const breaks = /\r\n|\r|\n/g;
  for (breaks.lastIndex = start; breaks.exec(text) !== null; ) {
    const at = breaks.lastIndex;
    const header = HEADER.exec(text.slice(at));
    if (header === null) {
      breaks.lastIndex = at + 1;
      continue;
    }
    const [all, , colon, continued] = header;
    const value = text.slice(at + all.length);
    const endsHere = /^[\r\n]/.test(value) && continued === undefined;
    if (colon === '' || value === '' || endsHere) return undefined;
    const [whole, word, domain] = WORDS.exec(value) ?? ['', '', undefined];
    if (word === '' || domain === '@') return callIdByTwin(text, start + at + all.length);
    return /^[\r\n]/.test(value.slice(whole.length)) ? whole : undefined;
  }
  return undefined;
}

const PIECES = [
  ...['\r\n', '\r\n', '\r\n', '\n', '\r', ' ', '\t', ':', ': ', '@'],
  ...['Call-ID: ', 'Call-ID: ', 'call-id:', 'i: ', 'I:', 'ix: ', 'CALL-ID :', 'Call-ID'],
  ...['a', 'z9', 'x@y', '-.!', '%', ',', ';', '{[', 'From: b', '#'],
];

test(`random messages: the Call-ID that a regular expression finds (seed ${SEED})`, () => {
  const random = new Random(SEED);
  const director = proxy();
  for (let round = 0; round < 2000; round++) {
    const pieces = Array.from({ length: random.between(1, 14) }, () => random.pick(PIECES));
    const text = `INVITE${random.oneIn(9) ? '' : '\r\n'}${pieces.join('')}`;
    const title = JSON.stringify(text);
    const before = new Set(templates(director).map((template) => template.join()));
    const server = ask(director, 1024 + round, text);
    const wanted = callIdByTwin(text);
    expect(server !== undefined, title).toBe(wanted !== undefined);
    const added = templates(director).filter((template) => !before.has(template.join()));
    for (const [, , callId] of added) expect(callId, title).toBe(wanted);
    if (wanted !== undefined) {
      expect(
        templates(director).some(([, , callId]) => callId === wanted),
        title,
      ).toBe(true);
    }
  }
});
