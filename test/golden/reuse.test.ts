/**
 * Ports that a client uses again while the old connection is still in the table. The kernel with
 * conntrack=1 drops the first packet of the new one, and the client waits a second; here nothing has
 * to wait for a conntrack.
 */

import { describe, expect, test } from 'vitest';
import { formatEndpoint } from '../../host/config/address.ts';
import { BUILDS, createBed, type DirectorBed } from '../support/director-bed.ts';
import * as build from '../support/packet-builder.ts';
import { FAMILIES, type Family, fromClient, HOSTS, ip, segment } from './golden.ts';

const { packet } = build;

function createReused(on: (typeof BUILDS)[number], family: Family, mode: string): DirectorBed {
  const { vip, server, other } = HOSTS[family];
  const bed = createBed({
    build: on,
    sysctls: { conntrack: '1', conn_reuse_mode: mode },
    services: [
      {
        at: `tcp ${formatEndpoint(vip, 80)}`,
        servers: [server, other].map((at) => ({
          at: formatEndpoint(at, 80),
          method: 'nat' as const,
        })),
      },
    ],
  });
  for (const flags of ['S', 'A', 'R']) bed.send('client', fromPort(family, flags));
  expect(bed.control.connections()).toMatchObject([{ state: 'CLOSE' }]);
  return bed;
}

function fromPort(family: Family, flags: string): Uint8Array {
  const { client, vip } = HOSTS[family];
  return packet(
    fromClient(family),
    ip({ from: client, to: vip }),
    ...segment('tcp', 1000, 80, flags, 1),
  );
}

describe.each(BUILDS)('%s', (on) => {
  describe.each(FAMILIES)('IPv%d', (family) => {
    test('conn_reuse_mode 1: the SYN goes to the next server at once', () => {
      const bed = createReused(on, family, '1');
      const [before] = bed.control.connections();
      const { verdict, counters } = bed.send('client', fromPort(family, 'S'));
      expect(verdict).toBe('transmit');
      expect(counters.DROP_RESCHEDULED_WITH_CONNTRACK).toBeUndefined();
      const [after] = bed.control.connections();
      expect(after?.state).toBe('SYN_RECV');
      expect(after?.destinationAddress).not.toBe(before?.destinationAddress);
      bed.close();
    });

    test('conn_reuse_mode 0: it goes where the old one went', () => {
      const bed = createReused(on, family, '0');
      const [before] = bed.control.connections();
      expect(bed.send('client', fromPort(family, 'S')).verdict).toBe('transmit');
      const [after] = bed.control.connections();
      expect(after?.destinationAddress).toBe(before?.destinationAddress);
      bed.close();
    });
  });
});
