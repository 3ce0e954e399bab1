/** A director's status and handlers, made up for tests. */

import type { DirectorStatus, LoadStatus, TrafficStatus } from '../../../../host/control/api.ts';
import type { ControlHandlers } from '../../../../host/control/handlers.ts';

const idle: TrafficStatus = { packets: 0, bytes: 0, packetsPerSecond: 0, bytesPerSecond: 0 };

export const LOAD: LoadStatus = {
  connections: 1_234,
  connectionsPerSecond: 12,
  incoming: { packets: 10, bytes: 1_000, packetsPerSecond: 1_500, bytesPerSecond: 90_000 },
  outgoing: idle,
};

export const STATUS: DirectorStatus = {
  version: '0.1.0',
  pid: 42,
  uptime: 93_784,
  config: { file: '/etc/wvs.yaml', loadedAt: '2026-01-02T03:04:05.000Z', generation: 3 },
  connections: { used: 1_234, capacity: 1_000_000 },
  workers: [
    {
      id: 0,
      state: 'running',
      busy: 0.125,
      packetsPerBurst: 23.14,
      restarts: 1,
      received: 12_345,
      transmitted: 12_300,
      dropped: 45,
    },
  ],
  ports: [
    {
      name: 'wan',
      interface: 'eth0',
      link: 'up',
      mode: 'native, zero-copy',
      queues: 2,
      receive: { packets: 5, bytes: 500, packetsPerSecond: 1_234_567, bytesPerSecond: 1e9 },
      transmit: idle,
    },
  ],
  services: [
    {
      key: 'tcp 192.0.2.80:80',
      name: 'web',
      source: 'file',
      scheduler: 'wrr',
      load: LOAD,
      servers: [
        {
          key: '10.0.0.11:80',
          forwarding: 'nat',
          weight: 3,
          health: 'up',
          activeConnections: 1_000,
          inactiveConnections: 234,
          load: LOAD,
        },
        {
          key: '10.0.0.12:80',
          forwarding: 'tunnel',
          weight: 1,
          health: 'down',
          reason: 'connection refused',
          activeConnections: 0,
          inactiveConnections: 0,
          load: { connections: 0, connectionsPerSecond: 0, incoming: idle, outgoing: idle },
        },
      ],
    },
    { key: 'mark 7', name: 'mark 7', source: 'ipvsadm', scheduler: 'rr', load: LOAD, servers: [] },
  ],
  counters: { 'received-frames': 12_345, 'drop-not-parsed': 0, 'drop-no-server': 2 },
};

/** A director that remembers what it was asked. */
export class FakeDirector implements ControlHandlers {
  readonly requests: unknown[] = [];

  status() {
    return STATUS;
  }

  ipvsadm(request: unknown) {
    this.requests.push(request);
    return { code: 0, stdout: 'IP Virtual Server\n', stderr: '' };
  }

  reload(request: unknown) {
    this.requests.push(request);
    const changes = [
      { kind: 'service-added', text: '+ service web' },
      { kind: 'destination-removed', text: '- server 10.0.0.1:80 of web', connections: 7 },
    ];
    return { file: '/etc/wvs.yaml', changes, warnings: [] };
  }

  plan(request: unknown) {
    this.requests.push(request);
    return { file: '/etc/wvs.yaml', changes: [], warnings: [] };
  }
}
