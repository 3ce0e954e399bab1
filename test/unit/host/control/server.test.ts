import {
  chmodSync,
  existsSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { askDirector } from '../../../../host/control/client.ts';
import { ControlError, type ControlHandlers } from '../../../../host/control/handlers.ts';
import {
  BODY_BYTES_MAX,
  CONNECTIONS_MAX,
  type ControlServer,
  createControlServer,
} from '../../../../host/control/server.ts';
import { FakeDirector, STATUS } from './support.ts';

let directory: string;
let path: string;
let servers: ControlServer[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'wvs-control-'));
  path = join(directory, 'deep', 'wvs.sock');
});

afterEach(async () => {
  for (const server of servers) await server.close();
  servers = [];
  rmSync(directory, { recursive: true });
});

async function start(handlers: ControlHandlers, errors: unknown[] = []): Promise<ControlServer> {
  const onError = (error: unknown) => errors.push(error);
  const server = await createControlServer({ path, handlers, onError, requestTimeoutMs: 300 });
  servers.push(server);
  return server;
}

/** Sends bytes and gives what comes back until the other side hangs up. */
function exchangeRaw(bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    let answer = '';
    socket.setEncoding('latin1');
    socket.on('data', (text) => {
      answer += text;
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(answer));
    socket.write(bytes);
  });
}

describe('the socket', () => {
  test('only the owner may open it, and the directory is made', async () => {
    await start(new FakeDirector());
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test('the umask of the process is as before', async () => {
    const before = process.umask();
    await start(new FakeDirector());
    expect(process.umask()).toBe(before);
  });

  test('closed: its file is gone', async () => {
    const server = await start(new FakeDirector());
    servers = [];
    await server.close();
    expect(existsSync(path)).toBe(false);
  });

  test('closed while a client is connected: does not wait for it', async () => {
    const server = await start(new FakeDirector());
    servers = [];
    const socket = connect(path);
    await new Promise((resolve) => socket.once('connect', resolve));
    await server.close();
    socket.destroy();
  });

  test('a live director has it: a clear error, and it lives on', async () => {
    await start(new FakeDirector());
    await expect(createControlServer({ path, handlers: new FakeDirector() })).rejects.toMatchObject(
      {
        code: 'director-already-running',
        message: `a director is already running: it answers at ${path}`,
      },
    );
    expect(await askDirector(path, 'status')).toEqual(STATUS);
  });

  test('a director that was killed left it: taken over', async () => {
    const stale = createServer();
    path = join(directory, 'stale.sock');
    await new Promise<void>((resolve) => stale.listen(path, resolve));
    const kept = join(directory, 'kept.sock');
    // Closing removes the file that was bound, so its name is moved away first.
    renameSync(path, kept);
    await new Promise((resolve) => stale.close(resolve));
    renameSync(kept, path);
    expect(existsSync(path)).toBe(true);
    await start(new FakeDirector());
    expect(await askDirector(path, 'status')).toEqual(STATUS);
  });

  test('a file that is no socket is not touched', async () => {
    path = join(directory, 'notes.txt');
    writeFileSync(path, 'important');
    await expect(createControlServer({ path, handlers: new FakeDirector() })).rejects.toMatchObject(
      {
        code: 'not-a-socket',
      },
    );
    expect(existsSync(path)).toBe(true);
  });
});

describe('requests', () => {
  test('each route carries its request and its result', async () => {
    const director = new FakeDirector();
    await start(director);
    const ipvsadm = { arguments: ['-R'], stdin: '-A -t 192.0.2.80:80\n' };
    expect(await askDirector(path, 'ipvsadm', ipvsadm)).toMatchObject({ code: 0 });
    await askDirector(path, 'reload', { config: '/etc/wvs.yaml' });
    await askDirector(path, 'plan', {});
    expect(director.requests).toEqual([ipvsadm, { config: '/etc/wvs.yaml' }, {}]);
  });

  test.each([
    ['ipvsadm', {}, "body must have required property 'arguments'"],
    ['ipvsadm', { arguments: 'x' }, 'body/arguments must be array'],
    ['ipvsadm', { arguments: [1] }, 'body/arguments/0 must be string'],
    ['reload', { config: 'relative.yaml' }, 'body/config must match pattern "^/"'],
    ['reload', { colour: 'red' }, 'body must NOT have additional properties'],
  ] as const)('%s %j is refused', async (route, body, message) => {
    const director = new FakeDirector();
    await start(director);
    await expect(askDirector(path, route, body as never)).rejects.toMatchObject({
      code: 'invalid-request',
      message,
    });
    expect(director.requests).toEqual([]);
  });

  test('what this director cannot do is said', async () => {
    await start({ status: () => STATUS });
    const request = { protocol: 'tcp', client: '192.0.2.1:1', virtual: '192.0.2.80:80' };
    await expect(askDirector(path, 'explain', request)).rejects.toMatchObject({
      code: 'not-available',
      message: 'this director cannot do "explain"',
    });
  });

  test('a refusal arrives with its code and the problems of the file', async () => {
    const problems = [
      { file: 'a', line: 1, column: 2, path: 'x', code: 'unknown-key', message: 'what' },
    ];
    const reload = () => {
      throw new ControlError('config-invalid', 'a cannot be used', problems);
    };
    await start({ status: () => STATUS, reload });
    await expect(askDirector(path, 'reload', {})).rejects.toMatchObject({
      code: 'config-invalid',
      message: 'a cannot be used',
      problems,
    });
  });

  test('our mistakes are told to us, and only admitted to the client', async () => {
    const errors: unknown[] = [];
    const status = () => {
      throw new Error('secret');
    };
    await start({ status }, errors);
    await expect(askDirector(path, 'status')).rejects.toMatchObject({
      code: 'internal-error',
      message: 'the director made a mistake; see its log',
    });
    expect(errors).toMatchObject([{ message: 'secret' }]);
  });
});

describe('hostile and slow clients', () => {
  test('no HTTP: answered and cut off', async () => {
    await start(new FakeDirector());
    expect(await exchangeRaw('hello\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
  });

  test('no such route: an error as JSON', async () => {
    await start(new FakeDirector());
    const answer = await exchangeRaw('GET /etc HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    expect(answer).toMatch(/^HTTP\/1\.1 404 /);
    expect(answer).toContain(
      '{"error":{"code":"not-found","message":"there is nothing at GET /etc"}}',
    );
  });

  test('a body that is too large: refused by its announced length', async () => {
    await start(new FakeDirector());
    const head =
      'POST /v1/ipvsadm HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n' +
      `Content-Length: ${BODY_BYTES_MAX + 1}\r\nConnection: close\r\n\r\n`;
    expect(await exchangeRaw(head)).toMatch(/^HTTP\/1\.1 413 /);
  });

  test('a request that never ends: cut off when its time is over', async () => {
    await start(new FakeDirector());
    expect(await exchangeRaw('GET /v1/status HTTP/1.1\r\nHost: x\r\n')).toMatch(/^HTTP\/1\.1 408 /);
  });

  test('more connections than allowed: the rest are closed, the director answers on', async () => {
    await start(new FakeDirector());
    const open: Socket[] = [];
    let closed = 0;
    for (let index = 0; index < CONNECTIONS_MAX + 5; index++) {
      const socket = connect(path);
      socket.on('error', () => {});
      socket.once('close', () => closed++);
      await new Promise((resolve) => socket.once('connect', resolve));
      open.push(socket);
    }
    await expect.poll(() => closed).toBe(5);
    open[0]!.destroy();
    await expect.poll(() => askDirector(path, 'status').catch(() => undefined)).toEqual(STATUS);
    for (const socket of open) socket.destroy();
  });
});

describe('the client', () => {
  test('no socket', async () => {
    await expect(askDirector(path, 'status')).rejects.toMatchObject({
      code: 'no-director',
      message: `no director answers at ${path}: no such socket`,
    });
  });

  test('something else answers there', async () => {
    path = join(directory, 'other.sock');
    const other = createServer((socket) => {
      socket.resume().end('HTTP/1.1 200 OK\r\n\r\nhello');
    });
    await new Promise<void>((resolve) => other.listen(path, resolve));
    await expect(askDirector(path, 'status')).rejects.toMatchObject({
      code: 'no-answer',
      message: `what listens at ${path} does not answer as a director does`,
    });
    await new Promise((resolve) => other.close(resolve));
  });

  test('it hangs up', async () => {
    path = join(directory, 'other.sock');
    const other = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => other.listen(path, resolve));
    await expect(askDirector(path, 'status')).rejects.toMatchObject({ code: 'no-answer' });
    await new Promise((resolve) => other.close(resolve));
  });

  test('no permission', async () => {
    await start(new FakeDirector());
    chmodSync(path, 0);
    // Root may open every socket, so for this one question be nobody.
    const isRoot = process.geteuid?.() === 0;
    if (isRoot) process.seteuid?.(65534);
    try {
      await expect(askDirector(path, 'status')).rejects.toMatchObject({
        code: 'no-permission',
        message: `no permission to open ${path}: ask as the user the director runs as`,
      });
    } finally {
      if (isRoot) process.seteuid?.(0);
    }
  });
});
