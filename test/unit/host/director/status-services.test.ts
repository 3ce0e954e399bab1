// What `wvs status --json` has of servers with no check, one, and several.

import { expect, test } from 'vitest';
import type { StatusSources } from '../../../../host/director/status-services.ts';
import { serviceStatuses } from '../../../../host/director/status-services.ts';
import { configWith } from '../config/support.ts';
import { Bed } from '../health/bed.ts';
import { FAIL } from '../health/support.ts';
import { Fixture, OPTIONS, SERVER, server, WEB } from '../ipvs/control-fixture.ts';

const TIMES = 'interval: 1s, timeout: 500ms, jitter: 0s, fall: 1';
const CONFIG = configWith(`
  services:
    - listen: 192.0.2.80:80/tcp
      forwarding: nat
      servers:
        - { address: '10.0.0.1:8080' }
        - { address: '10.0.0.2:8080', check: { type: tcp, ${TIMES} } }
        - address: '10.0.0.3:8080'
          check: [{ type: tcp, ${TIMES} }, { type: http, port: 81, ${TIMES} }, { type: smtp, port: 82, ${TIMES} }]
`);

/** The health of each server after the first probes, of which some fail. */
async function statusWith(failing: Readonly<Record<string, string>>) {
  const bed = new Bed();
  for (const [endpoint, detail] of Object.entries(failing)) {
    bed.results.set(endpoint, { ...FAIL, detail });
  }
  const health = bed.manager(CONFIG);
  health.start();
  await bed.clock.advance(1_500);
  const { control } = new Fixture();
  control.addService(WEB, OPTIONS);
  for (const number of [1, 2, 3]) control.addDestination(WEB, server(number), SERVER);
  const drains = { all: new Map(), status: () => undefined };
  const sources = { config: CONFIG, placed: new Map(), health, drains } as unknown;
  const [service] = serviceStatuses(control, sources as StatusSources);
  await health.stop();
  return Object.fromEntries(
    service!.servers.map(({ key, health: state, reason, checks }) => [
      key.split(':')[0],
      { state, ...(reason !== undefined && { reason }), ...(checks && { checks }) },
    ]),
  );
}

test('all is well → only the server with several checks has them listed', async () => {
  expect(await statusWith({})).toEqual({
    '10.0.0.1': { state: 'unchecked' },
    '10.0.0.2': { state: 'up' },
    '10.0.0.3': {
      state: 'up',
      checks: [
        { type: 'tcp', state: 'up' },
        { type: 'http', state: 'up' },
        { type: 'smtp', state: 'up' },
      ],
    },
  });
});

test('some fail → the reason is that of the check, or of all that fail, each with its type', async () => {
  const status = await statusWith({
    '10.0.0.2:8080': 'refused',
    '10.0.0.3:81': 'HTTP 503',
    '10.0.0.3:82': 'timeout',
  });
  expect(status).toEqual({
    '10.0.0.1': { state: 'unchecked' },
    '10.0.0.2': { state: 'down', reason: 'refused' },
    '10.0.0.3': {
      state: 'down',
      reason: 'http: HTTP 503; smtp: timeout',
      checks: [
        { type: 'tcp', state: 'up' },
        { type: 'http', state: 'down', reason: 'HTTP 503' },
        { type: 'smtp', state: 'down', reason: 'timeout' },
      ],
    },
  });
});
