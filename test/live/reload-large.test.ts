// Ten thousand services with ten servers each: reloaded while packets flow.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import type { DirectorStatus, ReloadResult } from '../../host/control/api.ts';
import { askDirector } from '../../host/control/client.ts';
import { runClient } from '../../host/netns/client-operations.ts';
import { startDirector } from '../../host/netns/director.ts';
import { skipWhere } from '../support/skip.ts';
import { LAN, LiveBed, natService, reason, VIP } from './live-bed.ts';

const SERVICES = 10_000;
const SERVERS = 10;
const LOAD_SECONDS = 14;

describe(`${SERVICES} services with ${SERVERS} servers each`, () => {
  let bed: LiveBed;

  beforeAll(async () => {
    if (reason !== undefined) return;
    bed = new LiveBed({ arms: 2, queues: 2, servers: 2 });
    await bed.startServers();
    write(() => 1);
    const options = { configuration: bed.file, socket: bed.socket, startTimeout: 100_000 };
    bed.director = await startDirector(bed.topology.director, options);
  });
  afterAll(() => bed?.close());

  skipWhere(() => reason);

  /** The service that is asked, and the many; `weight` of each by its number; one has more servers. */
  function write(weight: (service: number) => number, more = 0): void {
    const asked = natService(
      80,
      LAN.servers.slice(0, 2).map((address) => `${address}:8080`),
    );
    const lines = [asked];
    for (let service = 0; service < SERVICES; service++) {
      const [high, low] = [service >> 8, service & 255];
      lines.push(
        `  - name: service-${service}\n    listen: 203.0.${high}.${low}:80/tcp\n` +
          '    scheduler: wrr\n    forwarding: nat\n    servers:\n',
      );
      const servers = service === 5000 ? SERVERS + more : SERVERS;
      for (let server = 1; server <= servers; server++) {
        const address = `10.${high + 100}.${low}.${server}`;
        lines.push(`      - { address: '${address}:8080', weight: ${weight(service)} }\n`);
      }
    }
    bed.write({ services: lines.join(''), connections: 100_000 });
  }

  test('reloads of it, small and large, while HTTP requests go on', async () => {
    const status = (await askDirector(bed.socket, 'status')) as DirectorStatus;
    expect(status.services).toHaveLength(SERVICES + 1);
    const load = { url: `http://${VIP}:80`, connections: 2, requests: 20, seconds: LOAD_SECONDS };
    const loaded = runClient(bed.topology.client, ['http', load], { timeout: 60_000 });
    const one = await timedReload((service) => (service === 5000 ? 7 : 1));
    const again = await timedReload(() => 1);
    const grown = await timedReload(() => 1, 1);
    const all = await timedReload(() => 3, 1);
    const report = await loaded;
    process.stderr.write(
      `${SERVICES} x ${SERVERS}: a small edit in ${one.ms} and ${again.ms} ms, a server more in ` +
        `${grown.ms} ms, all weights in ${all.ms} ms; ${report.answered} requests meanwhile, longest ` +
        `${report.latency.max.toFixed(0)} ms; planned and published in ` +
        `${bed.log('reloaded').map(({ milliseconds }) => milliseconds)} ms\n`,
    );
    expect(one.result.changes).toHaveLength(SERVERS);
    expect(grown.result.changes).toHaveLength(1);
    expect(all.result.changes).toHaveLength(SERVICES * SERVERS + 1);
    expect(report.failed).toEqual({});
    const retries = bed.topology.client.run(['nstat', '-az', 'TcpExtTCPSynRetrans']);
    expect(retries).toMatch(/TCPSynRetrans\s+0\s/);
  });

  async function timedReload(
    weight: (service: number) => number,
    more = 0,
  ): Promise<{ result: ReloadResult; ms: number }> {
    write(weight, more);
    const start = performance.now();
    const result = (await askDirector(bed.socket, 'reload', {})) as ReloadResult;
    return { result, ms: Math.round(performance.now() - start) };
  }
});
