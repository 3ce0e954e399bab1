import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { expect, onTestFinished, test } from 'vitest';
import { encodeQuery, responseCode } from '../../../../host/health/probe-dns.ts';
import { probeOnce } from './support.ts';

type Answer = (this: void, reply: (data: Buffer) => void, data: Buffer, from: RemoteInfo) => void;

async function udpServer(answer: Answer, address = '127.0.0.1'): Promise<number> {
  const server: Socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  server.on('message', (data, from) => {
    answer((reply) => server.send(reply, from.port, from.address), data, from);
  });
  await new Promise<void>((resolve) => server.bind(0, address, resolve));
  onTestFinished(() => new Promise<void>((resolve) => void server.close(() => resolve())));
  return server.address().port;
}

async function unusedPort(): Promise<number> {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  const { port } = socket.address();
  await new Promise<void>((resolve) => void socket.close(() => resolve()));
  return port;
}

const SOON = { timeout: 150 };

test.each(['127.0.0.1', '::1'])('udp: %s answers → pass', async (address) => {
  const port = await udpServer((reply, data) => reply(data), address);
  const result = await probeOnce({ type: 'udp', send: 'ping', requireReply: true }, port, address);
  expect(result).toMatchObject({ ok: true, detail: '4 bytes answered' });
});

test('udp: nobody listens → refused by ICMP', async () => {
  const result = await probeOnce({ type: 'udp', send: 'ping' }, await unusedPort());
  expect(result).toMatchObject({ ok: false, detail: 'connection refused' });
});

test.each([
  [{}, true, 'not refused'],
  [{ requireReply: true }, false, 'timeout: waited 150ms for a reply'],
  [{ expect: 'x' }, false, 'timeout: waited 150ms for a reply'],
])('udp: silence, wanted %j → %s', async (rules, ok, detail) => {
  const port = await udpServer(() => undefined);
  const result = await probeOnce({ type: 'udp', ...SOON, ...rules }, port);
  expect(result).toMatchObject({ ok, detail });
});

test.each([
  [{ sendHex: '00ff10' }, '00ff10'],
  [{ send: 'häh' }, '68c3a468'],
  [{}, ''],
])('udp: %j is sent as %s', async (rules, hex) => {
  const seen: string[] = [];
  const port = await udpServer((_, data) => seen.push(data.toString('hex')));
  await probeOnce({ type: 'udp', ...SOON, ...rules }, port);
  expect(seen).toEqual([hex]);
});

test.each([
  [{ expect: '^pong' }, true],
  [{ expect: '^ping' }, false],
  [{ expectHex: '706f' }, true],
  [{ expectHex: '70xX6e' }, true],
  [{ expectHex: '7070' }, false],
  [{ expectHex: '706f6e6700ff' }, true],
  [{ replyMin: 4 }, true],
  [{ replyMin: 5 }, false],
  [{ replyMax: 4 }, true],
  [{ replyMax: 3 }, false],
])('udp: the reply "pong", wanted %j → %s', async (rules, ok) => {
  const port = await udpServer((reply) => reply(Buffer.from('pong')));
  await expect(probeOnce({ type: 'udp', ...rules }, port)).resolves.toMatchObject({ ok });
});

test('udp: bound to a source address → the server sees it', async () => {
  const seen: string[] = [];
  const port = await udpServer((reply, data, from) => {
    seen.push(from.address);
    reply(data);
  });
  const source = { family: 4, address: '127.0.0.9' } as const;
  await probeOnce({ type: 'udp', source, requireReply: true }, port);
  expect(seen).toEqual(['127.0.0.9']);
});

function dnsAnswer(query: Buffer, flags: number): Buffer {
  const answer = Buffer.from(query);
  answer.writeUInt16BE(flags, 2);
  return answer;
}

test.each([
  ['NOERROR', 0x8180, true, 'NOERROR'],
  ['truncated', 0x8380, true, 'NOERROR'],
  ['SERVFAIL', 0x8182, false, 'answered SERVFAIL for A www.example.org'],
  ['NXDOMAIN', 0x8183, false, 'answered NXDOMAIN for A www.example.org'],
  ['REFUSED', 0x8185, false, 'answered REFUSED for A www.example.org'],
  ['a query', 0x0100, false, 'timeout: waited 150ms for an answer'],
])('dns: the answer is %s → %s', async (_, flags, ok, detail) => {
  const port = await udpServer((reply, query) => reply(dnsAnswer(query, flags)));
  const check = { type: 'dns', name: 'www.example.org', record: 'A', ...SOON } as const;
  await expect(probeOnce(check, port)).resolves.toMatchObject({ ok, detail });
});

test('dns: an answer to another query, or too short → not taken for ours', async () => {
  const port = await udpServer((reply, query) => {
    const other = dnsAnswer(query, 0x8180);
    other.writeUInt16BE(other.readUInt16BE(0) ^ 1, 0);
    reply(other);
    reply(Buffer.from('x'));
  });
  await expect(probeOnce({ type: 'dns', ...SOON }, port)).resolves.toMatchObject({ ok: false });
});

test('dns: silence → timeout; nobody listens → refused', async () => {
  const port = await udpServer(() => undefined);
  const silent = await probeOnce({ type: 'dns', ...SOON }, port);
  expect(silent.detail).toBe('timeout: waited 150ms for an answer');
  const refused = await probeOnce({ type: 'dns', ...SOON }, await unusedPort());
  expect(refused.detail).toBe('connection refused');
});

test('dns: queries are encoded as RFC 1035 says', () => {
  expect(encodeQuery(0x1234, '.', 6)!.toString('hex')).toBe(
    '12340100000100000000000000' + '00060001',
  );
  expect(encodeQuery(1, 'ab.c.', 1)!.toString('hex')).toBe(
    '000101000001000000000000' + '02616201630000010001',
  );
  expect(encodeQuery(1, 'a..b', 1)).toBeUndefined();
  expect(encodeQuery(1, 'x'.repeat(64), 1)).toBeUndefined();
  expect(responseCode(Buffer.from('123481830000000000000000', 'hex'), 0x1234)).toBe(3);
});
