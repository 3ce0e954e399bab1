import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ServiceManager } from '../../../../host/appliance/service-manager.ts';

let sent: string[] = [];
const send = (path: string, text: string) => {
  sent.push(`${path} ${text}`);
};

beforeEach(() => {
  sent = [];
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function start(environment: NodeJS.ProcessEnv): ServiceManager {
  return new ServiceManager({ environment, send });
}

describe('a service manager', () => {
  test('absent: nothing is sent', () => {
    const manager = start({ WATCHDOG_USEC: '1000' });
    manager.ready('up', () => true);
    vi.advanceTimersByTime(100);
    manager.stopping();
    expect(sent).toEqual([]);
  });

  test('ready, reload, stop', () => {
    const manager = start({ NOTIFY_SOCKET: '/n' });
    manager.ready('2 workers', () => true);
    manager.reloading();
    manager.reloaded('3\nworkers');
    manager.stopping();
    expect(sent).toEqual([
      '/n READY=1\nSTATUS=2 workers',
      expect.stringMatching(/^\/n RELOADING=1\nMONOTONIC_USEC=\d+$/),
      '/n READY=1\nSTATUS=3 workers',
      '/n STOPPING=1',
    ]);
  });

  test('watchdog: twice within its time, while alive, until the stop', () => {
    let alive = true;
    const manager = start({ NOTIFY_SOCKET: '@n', WATCHDOG_USEC: '10000000' });
    manager.ready('up', () => alive);
    sent = [];
    vi.advanceTimersByTime(10_000);
    expect(sent).toEqual(['@n WATCHDOG=1', '@n WATCHDOG=1']);
    alive = false;
    vi.advanceTimersByTime(20_000);
    expect(sent).toHaveLength(2);
    alive = true;
    vi.advanceTimersByTime(5000);
    expect(sent).toHaveLength(3);
    manager.stopping();
    vi.advanceTimersByTime(20_000);
    expect(sent).toHaveLength(4);
  });

  test("another process's watchdog: no pings", () => {
    const environment = { NOTIFY_SOCKET: '/n', WATCHDOG_USEC: '1000', WATCHDOG_PID: '1' };
    start(environment).ready('up', () => true);
    vi.advanceTimersByTime(100);
    expect(sent).toHaveLength(1);
  });

  test('nobody listens: told once for each message, and no exception', () => {
    const errors: string[] = [];
    const manager = new ServiceManager({
      environment: { NOTIFY_SOCKET: '/nowhere/at/all' },
      onError: (error) => errors.push(error.message),
    });
    manager.ready('up', () => true);
    expect(errors).toEqual([expect.stringMatching(/^sendto: ENOENT/)]);
  });
});
