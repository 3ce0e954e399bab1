import { expect, test } from 'vitest';
import { closedPort, probeOnce, tcpServer } from './support.ts';

/** Greets, and answers each line with the next of `answers`; `undefined` hangs up instead. */
function mailServer(
  answers: readonly (string | undefined)[],
  heard: string[] = [],
): Promise<number> {
  return tcpServer((socket) => {
    const left = [...answers];
    const next = () => {
      const answer = left.shift();
      if (answer === undefined) socket.end();
      else socket.write(answer);
    };
    socket.setEncoding('latin1');
    socket.on('data', (line: string) => {
      heard.push(line.trimEnd());
      next();
    });
    next();
  });
}

test.each([
  ['one line each', ['220 hi\r\n', '250 ok\r\n', '221 bye\r\n']],
  ['several lines', ['220-hi\r\n220 there\r\n', '250-ok\r\n250-SIZE\r\n250 HELP\r\n', '221 x\r\n']],
  ['bare line ends', ['220 hi\n', '250\n', '221 bye\n']],
  ['hanging up on QUIT', ['220 hi\r\n', '250 ok\r\n', undefined]],
])('smtp: a server that is well, %s → pass', async (_, answers) => {
  const heard: string[] = [];
  const port = await mailServer(answers, heard);
  const result = await probeOnce({ type: 'smtp', helo: 'director.example.org' }, port);
  expect(result.ok, result.detail).toBe(true);
  expect(heard).toEqual(['HELO director.example.org', 'QUIT']);
});

test.each([
  ['closes', [undefined], 'connection closed instead of the greeting'],
  ['refuses', ['554 no\r\n'], 'the greeting is "554 no", expected 220'],
  ['speaks no SMTP', ['SSH-2.0-x\r\n'], 'the greeting is "SSH-2.0-x", expected 220'],
  ['refuses HELO', ['220 hi\r\n', '550 no\r\n'], 'the answer to HELO is "550 no", expected 250'],
  ['closes on HELO', ['220 hi\r\n', undefined], 'connection closed instead of the answer to HELO'],
  ['hangs', [''], 'timeout: waited 200ms for the greeting'],
  ['hangs in a line', ['220 h'], 'timeout: waited 200ms for the greeting'],
  ['never ends', ['220-more\r\n'.repeat(10) + 'x'.repeat(20_000)], 'is longer than 16384 bytes'],
])('smtp: the server %s → fail', async (_, answers, detail) => {
  const port = await mailServer(answers);
  const result = await probeOnce({ type: 'smtp', timeout: 200 }, port);
  expect(result.detail).toContain(detail);
  expect(result.ok).toBe(false);
});

test('smtp: a slow drip → timeout', async () => {
  const port = await tcpServer((socket) => {
    const timer = setInterval(() => socket.write('220-x\r\n'), 20);
    socket.once('close', () => clearInterval(timer));
  });
  const result = await probeOnce({ type: 'smtp', timeout: 200 }, port);
  expect(result.detail).toBe('timeout: waited 200ms for the greeting');
});

test('smtp: nobody listens → refused', async () => {
  const result = await probeOnce({ type: 'smtp' }, await closedPort());
  expect(result).toMatchObject({ ok: false, detail: 'connection refused' });
});
