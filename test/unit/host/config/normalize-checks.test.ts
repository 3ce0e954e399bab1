import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CHECK_FIELDS, CHECK_TYPES } from '../../../../host/config/schema-checks.ts';
import type { CheckConfig } from '../../../../host/config/types.ts';
import { configOf, DIRECTOR } from './support.ts';

/** The checks of the only server of a service, from the YAML of each level that has some. */
function checksOf(levels: {
  readonly server?: string;
  readonly service?: string;
  readonly defaults?: string;
  readonly alpha?: boolean;
}): readonly CheckConfig[] {
  const check = (text: string | undefined) => (text === undefined ? '' : `, check: ${text}`);
  const alpha = levels.alpha === undefined ? '' : `, alpha: ${levels.alpha}`;
  const defaults = levels.defaults === undefined ? '{}' : `{ check: ${levels.defaults} }`;
  const server = `{ address: 10.0.0.1${check(levels.server)} }`;
  const service = `listen: '192.0.2.80:80/tcp'${alpha}${check(levels.service)}`;
  const config = configOf(`
    version: 1
    ${DIRECTOR}
    defaults: ${defaults}
    services:
      - { ${service}, servers: [${server}] }
  `);
  return config.services[0]!.servers[0]!.checks;
}

/** What every field of a check that is inherited may say: as it is written, and as it is read. */
const INHERITED: Readonly<Record<string, readonly [unknown, unknown]>> = {
  interval: ['7s', 7_000],
  timeout: ['3s', 3_000],
  rise: [5, 5],
  fall: [6, 6],
  retryDelay: ['4s', 4_000],
  jitter: ['200ms', 200],
  warmUp: ['9s', 9_000],
  alpha: [true, true],
  damping: [
    { changes: 4, within: '60s', hold: '120s' },
    { changes: 4, within: 60_000, hold: 120_000 },
  ],
  source: ['10.0.0.254', { family: 4, address: '10.0.0.254' }],
};

/** What belongs to one check alone: what is asked for and where. */
const OWN = new Set(['type', 'address', 'port', 'via']);

/** What each type cannot do without. */
const NEEDED: Readonly<Record<string, object>> = {
  command: { command: ['/bin/true'] },
  file: { path: '/run/weight' },
};

const TYPES = CHECK_TYPES.filter((type) => type !== 'none');

test('every field that network checks share is inherited, or known to be their own', () => {
  const [first, ...rest] = ['tcp', 'http', 'udp', 'dns', 'smtp', 'grpc'].map(
    (type) => CHECK_FIELDS.get(type)!,
  );
  const shared = [...first!].filter((field) => rest.every((fields) => fields.has(field)));
  expect(shared.filter((field) => !OWN.has(field)).sort()).toEqual(Object.keys(INHERITED).sort());
});

test('any field at any level → the value of the innermost level that has it', () => {
  const fields = fc.subarray(Object.keys(INHERITED));
  const type = fc.constantFrom(...TYPES);
  const level = fc.option(fc.record({ type, fields }), { nil: undefined });
  fc.assert(
    fc.property(fc.record({ type, fields }), level, level, (server, service, defaults) => {
      const levels = [server, service, defaults];
      const [serverText, serviceText, defaultsText] = levels.map(
        (one, depth) => one && JSON.stringify(sectionOf(one, depth)),
      );
      const [check] = checksOf({
        server: serverText!,
        ...(serviceText && { service: serviceText }),
        ...(defaultsText && { defaults: defaultsText }),
      });
      for (const field of Object.keys(INHERITED)) {
        if (!CHECK_FIELDS.get(server.type)!.has(field)) {
          expect(check).not.toHaveProperty(field);
          continue;
        }
        const depth = levels.findIndex((one) => saysOf(one, field));
        if (depth < 0) continue;
        expect({ field, value: Reflect.get(check!, field) }).toEqual({
          field,
          value: field === 'fall' ? 6 + depth : INHERITED[field]![1],
        });
      }
    }),
    { numRuns: 300 },
  );
});

interface Level {
  readonly type: string;
  readonly fields: readonly string[];
}

function saysOf(level: Level | undefined, field: string): boolean {
  return level?.fields.includes(field) === true && CHECK_FIELDS.get(level.type)!.has(field);
}

/** A check of a type with some fields; `fall` tells the levels apart. */
function sectionOf(level: Level, depth: number): object {
  const known = level.fields.filter((field) => saysOf(level, field));
  const values = known.map((field) => {
    return [field, field === 'fall' ? 6 + depth : INHERITED[field]![0]];
  });
  return { type: level.type, ...NEEDED[level.type], ...Object.fromEntries(values) };
}

describe('several checks', () => {
  test('a list → all of them, each with the times around it', () => {
    const checks = checksOf({
      service: '[{ type: tcp, interval: 1s }, { type: http, path: /x }]',
      defaults: '{ type: icmp, fall: 7, interval: 4s }',
    });
    expect(checks).toMatchObject([
      { type: 'tcp', interval: 1_000, fall: 7 },
      { type: 'http', interval: 4_000, path: '/x', fall: 7 },
    ]);
  });

  test('the server has a list, the service another → times of the same type before others', () => {
    const checks = checksOf({
      server: '[{ type: http, path: /x }, { type: dns }, { type: tcp }]',
      service: '[{ type: tcp, interval: 1s }, { type: http, path: /y, interval: 3s }]',
    });
    expect(checks.map(({ type, interval }) => [type, interval])).toEqual([
      ['http', 3_000],
      ['dns', 1_000],
      ['tcp', 1_000],
    ]);
    expect(checks[0]).toMatchObject({ path: '/x' });
  });

  test('what is asked for, and where, is never inherited', () => {
    const [check] = checksOf({
      server: '{ type: http }',
      service: '{ type: http, path: /y, port: 81, address: 10.0.0.9, host: a.example }',
    });
    for (const field of ['path', 'port', 'address', 'host']) {
      expect(check).not.toHaveProperty(field);
    }
  });
});

describe('alpha of a service', () => {
  test.each([
    [{ alpha: true, defaults: '{ type: tcp }' }, true],
    [{ alpha: true, service: '{ type: tcp }' }, true],
    [{ alpha: true, server: '{ type: tcp }' }, true],
    [{ alpha: true, service: '{ type: tcp, alpha: false }' }, false],
    [{ alpha: true, server: '{ type: tcp, alpha: false }' }, false],
    [{ alpha: false, defaults: '{ type: tcp, alpha: true }' }, false],
    [{ defaults: '{ type: tcp, alpha: true }' }, true],
  ])('%j → %s', (levels, alpha) => {
    expect(checksOf(levels)).toMatchObject([{ alpha }]);
  });
});
