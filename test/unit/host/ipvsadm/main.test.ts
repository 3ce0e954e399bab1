import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ipvsadmMain } from '../../../../host/ipvsadm/main.ts';

describe('ipvsadmMain', () => {
  let directory: string;
  let written: string;
  let server: Server | undefined;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'wvs-ipvsadm-'));
    written = '';
    for (const stream of ['stdout', 'stderr'] as const) {
      vi.spyOn(process[stream], 'write').mockImplementation((chunk) => {
        written += `${stream}: ${String(chunk)}`;
        return true;
      });
    }
  });

  afterEach(() => {
    vi.restoreAllMocks();
    server?.close();
    server = undefined;
    rmSync(directory, { recursive: true });
  });

  /** A director that gives one answer; resolves to the path of its socket. */
  async function listen(answer: unknown): Promise<{ socket: string; requests: string[] }> {
    const requests: string[] = [];
    server = createServer(async (request, response) => {
      requests.push(`${request.method} ${request.url} ${await text(request)}`);
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify(answer));
    });
    const socket = join(directory, 'wvs.sock');
    await new Promise<void>((resolve) => server!.listen(socket, resolve));
    return { socket, requests };
  }

  test('sends the arguments, prints in order, returns the code', async () => {
    const writes = [
      { stream: 'stderr', text: 'one\n' },
      { stream: 'stdout', text: 'two\n' },
    ];
    const answer = { code: 255, stdout: 'two\n', stderr: 'one\n', writes };
    const { socket, requests } = await listen(answer);
    expect(await ipvsadmMain(['-L', '-n'], socket)).toBe(255);
    expect(written).toBe('stderr: one\nstdout: two\n');
    expect(requests).toEqual(['POST /v1/ipvsadm {"arguments":["-L","-n"],"stdin":""}']);
  });

  test('no director is one line and 1', async () => {
    expect(await ipvsadmMain(['-L'], join(directory, 'none.sock'))).toBe(1);
    expect(written).toMatch(/^stderr: ipvsadm: no director answers at .*none\.sock.*\n$/);
  });

  test('the version needs no director', async () => {
    expect(await ipvsadmMain(['-v'], join(directory, 'none.sock'))).toBe(0);
    expect(written).toMatch(/^stdout: ipvsadm v1\.31 /);
  });
});
