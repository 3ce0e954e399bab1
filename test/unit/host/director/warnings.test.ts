import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../../../host/config/parse.ts';
import { formatProblem } from '../../../../host/config/problems.ts';
import { kernelWarnings } from '../../../../host/director/warnings.ts';
import { DataPlaneMemory } from '../../../../host/memory/data-plane-memory.ts';
import { PublishedTables } from '../../../../host/tables/publish.ts';
import type { World } from '../../../../host/tables/world.ts';

const WORLD: World = {
  ports: [0, 1].map((index) => ({
    index,
    name: `port${index}`,
    ifindex: index + 1,
    mac: new Uint8Array(6),
    mtu: 1500,
    up: true,
  })),
  addresses: [
    { family: 4, address: '192.0.2.1', port: 0, prefixLength: 24 },
    { family: 4, address: '192.0.2.80', port: 0, prefixLength: 32 },
    { family: 6, address: '2001:db8::1', port: 0, prefixLength: 64 },
    { family: 4, address: '10.0.0.1', port: 1, prefixLength: 24 },
  ],
  routes: [
    { family: 4, prefix: '10.0.0.0', prefixLength: 24, port: 1, kind: 'on-link' },
    { family: 4, prefix: '10.9.0.0', prefixLength: 16, port: 1, kind: 'via', via: '10.0.0.254' },
  ],
};

function warnings(services: string): string[] {
  const result = parseConfig(
    `version: 1\ndirector: { ports: [{ name: wan }] }\nservices:\n${services}`,
    'wvs.yaml',
  );
  if (!result.ok) throw new Error(JSON.stringify(result.errors));
  const memory = DataPlaneMemory.create({ connections: 64, services: 8, destinations: 8 });
  const tables = new PublishedTables(memory);
  tables.setWorld(WORLD);
  tables.publish();
  const interfaces = ['eth0', 'eth1'];
  return kernelWarnings(result.config, { world: WORLD, memory, interfaces }).map(formatProblem);
}

describe('a configuration on a machine', () => {
  test('everything is there: nothing to say', () => {
    const server = "{ address: '10.0.0.11:8080' }, { address: '10.9.0.1:8080' }";
    expect(
      warnings(`  - { listen: 192.0.2.80:80/tcp, forwarding: nat, servers: [${server}] }\n`),
    ).toEqual([]);
  });

  test('a virtual address the director does not have: the line that adds it', () => {
    expect(warnings('  - { listen: 192.0.2.99:80/tcp }\n')).toEqual([
      expect.stringMatching(
        /^wvs.yaml:4:5: .*192\.0\.2\.99 is not .*: run ip addr add 192\.0\.2\.99\/32 dev eth0$/,
      ),
    ]);
    expect(warnings("  - { listen: '[2001:db8::99]:80/tcp' }\n")).toEqual([
      expect.stringContaining('run ip addr add 2001:db8::99/128 dev eth0'),
    ]);
  });

  test('one for each address, however many services have it', () => {
    const services = [80, 81, 82].map((port) => `  - { listen: 192.0.2.99:${port}/tcp }\n`);
    expect(warnings(services.join(''))).toHaveLength(1);
  });

  test('a server nobody has a route to; one behind a gateway, for direct-route only', () => {
    const list = '[{ address: 10.0.0.11 }, { address: 172.16.0.1 }, { address: 10.9.0.1 }]';
    const found = warnings(`  - listen: 192.0.2.80:80/tcp\n    servers: ${list}\n`);
    expect(found).toEqual([
      expect.stringMatching(
        /^wvs.yaml:5:\d+: .*no route of a port leads to 172\.16\.0\.1: .*; run ip route add 172\.16\.0\.1\/32 via GATEWAY/,
      ),
      expect.stringMatching(/^wvs.yaml:5:\d+: .*direct-route needs 10\.9\.0\.1 on a network/),
    ]);
  });

  test('a thousand of them: not a thousand lines', () => {
    const services = Array.from({ length: 300 }, (_, index) => {
      return `  - { listen: 203.0.${index >> 8}.${index & 255}:80/tcp }\n`;
    });
    const found = warnings(services.join(''));
    expect(found.length).toBeLessThan(60);
    expect(found.at(-1)).toContain('more warnings');
  });
});
