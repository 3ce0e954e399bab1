import { expect, test } from 'vitest';
import type { ConfigDraft, ServerDraft } from '../../../../host/import/model.ts';
import { removeTargets, targetOf } from '../../../../host/import/prune.ts';

const ORIGIN = { file: 'in.conf', line: 1, column: 1 };

function serverOf(types: readonly string[]): ServerDraft {
  return {
    origin: ORIGIN,
    address: '10.0.0.1',
    weight: 1,
    upperThreshold: 0,
    lowerThreshold: 0,
    forwarding: { method: 'nat' },
    checks: types.map((type) => ({ origin: ORIGIN, fields: { type } })),
  };
}

function draftOf(servers: readonly ServerDraft[]): ConfigDraft {
  return {
    director: { interfaces: new Set(), localAddresses: new Set() },
    marks: [],
    services: [
      {
        origin: ORIGIN,
        listen: '192.0.2.80:80/tcp',
        scheduler: 'wlc',
        schedulerFlags: [],
        forwarding: { method: 'nat' },
        onePacket: false,
        quorum: 1,
        hysteresis: 0,
        inhibitOnFailure: false,
        servers,
      },
    ],
  };
}

test.each([
  ['services[0].servers[1].check', [['a', 'b', 'c'], []]],
  ['services[0].servers[1].check.path', [['a', 'b', 'c'], []]],
  [
    'services[0].servers[1].check[1].path',
    [
      ['a', 'b', 'c'],
      ['a', 'c'],
    ],
  ],
  [
    'services[0].check[0]',
    [
      ['b', 'c'],
      ['b', 'c'],
    ],
  ],
  ['services[0].check', [[], []]],
  ['services[0].servers[1].address', [['a', 'b', 'c']]],
])('%s is wrong → the servers have the checks %j', (path, expected) => {
  const draft = draftOf([serverOf(['a', 'b', 'c']), serverOf(['a', 'b', 'c'])]);
  removeTargets(draft, [targetOf(path)!]);
  const left = draft.services[0]!.servers.map((server) => server.checks.map((c) => c.fields.type));
  expect(left).toEqual(expected);
});

test('two checks of a server are wrong → both go, whatever their order', () => {
  const draft = draftOf([serverOf(['a', 'b', 'c', 'd'])]);
  const paths = ['services[0].servers[0].check[0]', 'services[0].servers[0].check[2]'];
  removeTargets(
    draft,
    paths.map((path) => targetOf(path)!),
  );
  const [server] = draft.services[0]!.servers;
  expect(server!.checks.map(({ fields }) => fields.type)).toEqual(['b', 'd']);
});
