import { createServer, type ServerOptions } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { afterAll, expect, test } from 'vitest';
import { Certificates, openSslDate } from './certificates.ts';
import { listening, probeOnce, tcpServer } from './support.ts';

const certificates = new Certificates();
afterAll(() => certificates.remove());
const DAY_MS = 86_400_000;
const dates = { from: openSslDate(-1), to: openSslDate(20) };
const good = certificates.issue('good', { ...dates, alt: 'DNS:www.example.org, IP:127.0.0.1' });
const other = certificates.issue('other', { ...dates, alt: 'DNS:elsewhere.example.org' });
const expired = certificates.issue('expired', {
  from: openSslDate(-20),
  to: openSslDate(-1),
  alt: 'DNS:www.example.org, IP:127.0.0.1',
});
const early = certificates.issue('early', {
  from: openSslDate(2),
  to: openSslDate(20),
  alt: 'IP:127.0.0.1',
});
const selfSigned = certificates.selfSigned();
const ca = certificates.authority.certificateFile;

function httpsServer(options: ServerOptions): Promise<number> {
  const server = createServer(options, (_, response) => response.end('secret'));
  server.on('tlsClientError', () => undefined);
  return listening(server);
}

test.each([
  ['any', selfSigned, {}, true, 'HTTP 200'],
  ['expired, not verified', expired, {}, true, 'HTTP 200'],
  ['good, verified by address', good, { verify: true, ca }, true, 'HTTP 200'],
  ['good, by name', good, { verify: true, ca, sni: 'www.example.org' }, true, 'HTTP 200'],
  ['good, by host', good, { verify: true, ca, host: 'www.example.org:443' }, true, 'HTTP 200'],
  ['self-signed', selfSigned, { verify: true, ca }, false, 'the certificate is self-signed'],
  ['unknown authority', good, { verify: true }, false, 'an authority that is not trusted'],
  ['expired', expired, { verify: true, ca }, false, 'the certificate has expired'],
  ['not valid yet', early, { verify: true, ca }, false, 'the certificate is not valid yet'],
  ['for another name', other, { verify: true, ca }, false, 'the certificate is for another name'],
  ['valid long enough', good, { validFor: 10 * DAY_MS }, true, 'HTTP 200'],
  ['ending soon', good, { validFor: 30 * DAY_MS }, false, 'only, expected 30d'],
  ['ended', expired, { validFor: 0 }, false, 'the certificate has expired'],
])('https: certificate %s, wanted %# → %s', async (_, certificate, rules, ok, detail) => {
  const port = await httpsServer(certificate);
  const result = await probeOnce({ type: 'https', timeout: 2_000, ...rules }, port);
  expect(result.detail).toContain(detail);
  expect(result.ok).toBe(ok);
});

test('https: the name asked for → sni, or else the host name, never an address', async () => {
  const names: unknown[] = [];
  const server = createServer(good, (request, response) => {
    names.push((request.socket as TLSSocket).servername);
    response.end();
  });
  const port = await listening(server);
  await probeOnce({ type: 'https', sni: 'a.example.org', host: 'b.example.org' }, port);
  await probeOnce({ type: 'https', host: 'b.example.org:8443' }, port);
  await probeOnce({ type: 'https', host: '127.0.0.1' }, port);
  await probeOnce({ type: 'https' }, port);
  expect(names).toEqual(['a.example.org', 'b.example.org', false, false]);
});

test('https: our certificate is shown to a server that wants one', async () => {
  const port = await httpsServer({ ...good, requestCert: true, ca: [certificates.authority.cert] });
  const shown = { certificate: good.certificateFile, key: good.keyFile };
  await expect(probeOnce({ type: 'https' }, port)).resolves.toMatchObject({ ok: false });
  await expect(probeOnce({ type: 'https', ...shown }, port)).resolves.toMatchObject({ ok: true });
});

test('https: a certificate file that is missing → our trouble, not the server’s', async () => {
  const port = await httpsServer(good);
  const result = await probeOnce({ type: 'https', ca: '/nonexistent/ca.pem' }, port);
  expect(result).toMatchObject({ ok: false, isOurs: true });
  expect(result.detail).toContain('/nonexistent/ca.pem');
});

test('https: the server speaks no TLS → fail', async () => {
  const port = await tcpServer((socket) => socket.end('HTTP/1.1 200 OK\r\n\r\n'));
  await expect(probeOnce({ type: 'https' }, port)).resolves.toMatchObject({ ok: false });
});

test('https: the server hangs in the handshake → timeout', async () => {
  const port = await tcpServer(() => undefined);
  const result = await probeOnce({ type: 'https', timeout: 200 }, port);
  expect(result.detail).toBe('timeout: waited 200ms for the TLS handshake');
});
