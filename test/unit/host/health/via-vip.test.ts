// Probes of the virtual address through a server, over ways that are a test's own; and that every
// probe comes from the local port it is told to.

import { createSocket } from 'node:dgram';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import { type AddressInfo, createServer } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import type { Probe, ProbeResult } from '../../../../host/health/probe.ts';
import { createProbe } from '../../../../host/health/probes.ts';
import { viaVipProbe } from '../../../../host/health/via-vip.ts';
import { VipWays, type WayTarget } from '../../../../host/health/vip-ways.ts';
import {
  checkOf,
  closedPort,
  FAIL,
  listening,
  PASS,
  type ProbeSettings,
  targetOf,
  tcpServer,
} from './support.ts';

const TARGET: WayTarget = {
  ...targetOf(80, '10.0.0.11'),
  virtual: { address: '192.0.2.80', tunnel: undefined },
};
const PORTS = [1, 3, 5, 7, 9, 11, 13, 15, 17, 19];
const TAKEN: ProbeResult = { ...FAIL, isOurs: true, isPortTaken: true };

/** Probes once with a probe that answers with one result after the other. */
async function probeVia(
  results: readonly ProbeResult[],
  { sent = 3, refusal }: { readonly sent?: number; readonly refusal?: string } = {},
) {
  const localPorts: (number | undefined)[] = [];
  let closed = 0;
  const close = () => {
    closed++;
  };
  const table = {
    whyNot: () => refusal,
    open: () => {
      if (refusal !== undefined) throw new Error(refusal);
      return { sent, close };
    },
  };
  const probe: Probe = (_, localPort) => {
    localPorts.push(localPort);
    return Promise.resolve(results[localPorts.length - 1] ?? results.at(-1)!);
  };
  const ways = new VipWays(table, PORTS);
  const via = viaVipProbe({ target: TARGET, type: 'udp', probe, ways });
  const result = await via(new AbortController().signal);
  return { result, localPorts, closed };
}

test('an answer by the way → pass, and the way is closed', async () => {
  expect(await probeVia([PASS])).toEqual({ result: PASS, localPorts: [1], closed: 1 });
});

test('no answer → fail, whether packets left or the server is not even a neighbour', async () => {
  expect((await probeVia([FAIL])).result).toEqual(FAIL);
  expect((await probeVia([FAIL], { sent: 0 })).result).toEqual(FAIL);
});

test('an answer to what was not rewritten → nothing is known', async () => {
  expect((await probeVia([PASS], { sent: 0 })).result).toMatchObject({
    ok: false,
    isOurs: true,
    detail: expect.stringContaining('by none of the ports'),
  });
});

test('a port that is taken → the next one', async () => {
  const { result, localPorts, closed } = await probeVia([TAKEN, TAKEN, PASS]);
  expect(result).toEqual(PASS);
  expect(localPorts).toEqual([1, 3, 5]);
  expect(closed).toBe(3);
});

test('all ports are taken → it ends, and nothing is known', async () => {
  const { result, localPorts } = await probeVia([TAKEN]);
  expect(result).toEqual(TAKEN);
  expect(localPorts).toEqual([1, 3, 5, 7, 9, 11, 13, 15]);
});

test('no way → nothing is known, and nothing is probed', async () => {
  const { result, localPorts } = await probeVia([PASS], { refusal: 'tcx needs Linux 6.6' });
  const detail = 'via: vip is not possible: tcx needs Linux 6.6';
  expect(result).toEqual({ ok: false, isOurs: true, detail, latencyMs: 0 });
  expect(localPorts).toEqual([]);
  const alone = createProbe(TARGET, checkOf({ type: 'tcp' }));
  expect(await alone(new AbortController().signal)).toMatchObject({ ok: false, isOurs: true });
});

/** A server that notes the port it is asked from. */
type Asked = (note: (port: number | undefined) => void) => Promise<number>;

const overTcp: Asked = (note) =>
  tcpServer((socket) => {
    note(socket.remotePort);
    socket.end('220 a\r\n250 b\r\n221 c\r\n');
  });
const overHttp: Asked = (note) =>
  listening(
    createHttpServer(({ socket }, response) => {
      note(socket.remotePort);
      response.end();
    }),
  );
const overHttp2: Asked = async (note) => {
  const server = createHttp2Server();
  server.on('session', (session) => {
    note(session.socket.remotePort);
    session.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => new Promise((resolve) => server.close(() => resolve())));
  return (server.address() as AddressInfo).port;
};
const overUdp: Asked = async (note) => {
  const socket = createSocket('udp4', (_, from) => note(from.port));
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  onTestFinished(() => void socket.close());
  return socket.address().port;
};

const CASES: [ProbeSettings, Asked][] = [
  [{ type: 'tcp' }, overTcp],
  [{ type: 'smtp' }, overTcp],
  [{ type: 'http' }, overHttp],
  [{ type: 'https' }, overTcp],
  [{ type: 'grpc' }, overHttp2],
  [{ type: 'grpc', tls: true }, overTcp],
  [{ type: 'udp' }, overUdp],
  [{ type: 'dns' }, overUdp],
];

test.each(CASES)('%o: comes from the port it is told to', async (settings, asked) => {
  let seen: number | undefined;
  const note = (port: number | undefined) => {
    seen = port;
  };
  const port = await asked(note);
  const localPort = await closedPort();
  const probe = createProbe(targetOf(port), checkOf(settings));
  await probe(new AbortController().signal, localPort);
  expect(seen).toBe(localPort);
});

test('the port is somebody else’s → ours, and another one may do', async () => {
  const other = createServer();
  const taken = await listening(other, '0.0.0.0');
  const port = await tcpServer(() => undefined);
  const probe = createProbe(targetOf(port), checkOf({ type: 'tcp' }));
  const result = await probe(new AbortController().signal, taken);
  expect(result).toMatchObject({ ok: false, isOurs: true, isPortTaken: true });
});

test('http: the virtual address is the host that is asked', async () => {
  let host: string | undefined;
  const server = createHttpServer((request, response) => {
    host = request.headers.host;
    response.end();
  });
  const port = await listening(server);
  const virtual = { address: '192.0.2.80', tunnel: undefined };
  const table = { whyNot: () => undefined, open: () => ({ sent: 1, close: () => undefined }) };
  const ways = new VipWays(table, [await closedPort()]);
  const probe = createProbe({ ...targetOf(port), virtual }, checkOf({ type: 'http' }), ways);
  expect(await probe(new AbortController().signal)).toMatchObject({ ok: true });
  expect(host).toBe(`192.0.2.80:${port}`);
  ways.close();
});
