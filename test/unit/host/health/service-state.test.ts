import { expect, test } from 'vitest';
import { type Change, describeChange, type diffServices } from '../../../../host/config/diff.ts';
import type { DestinationConfig, ServiceConfig } from '../../../../host/config/types.ts';
import {
  closingEvents,
  type ServerInput,
  type ServiceEvent,
  type ServiceState,
  serviceChanges,
  stepService,
} from '../../../../host/health/service-state.ts';
import { Random, seedFromEnvironment } from '../../../support/random.ts';
import { configWith } from '../config/support.ts';

interface Shape {
  readonly weights: readonly number[];
  readonly quorum?: number;
  readonly hysteresis?: number;
  readonly sorry?: string;
  readonly inhibit?: boolean;
  readonly extra?: Partial<ServiceConfig>;
}

/** A service with servers 10.0.0.1, 10.0.0.2, ... of these weights. */
function serviceOf({ weights, quorum = 1, hysteresis = 0, sorry, ...rest }: Shape): ServiceConfig {
  const servers = weights
    .map((weight, index) => `{ address: '10.0.0.${index + 1}:80', weight: ${weight} }`)
    .join(', ');
  const { services } = configWith(`
    services:
      - name: web
        listen: 192.0.2.80:80/tcp
        forwarding: nat
        quorum: ${quorum}
        hysteresis: ${hysteresis}
        inhibitOnFailure: ${rest.inhibit === true}
        ${sorry === undefined ? '' : `sorryServer: '${sorry}'`}
        servers: [${servers}]
  `);
  return { ...services[0]!, ...rest.extra };
}

/**
 * One letter for each server: u up, d down, . unknown, a unknown in alpha mode, n unchecked,
 * D drained;
 * a digit is the weight that its check names.
 */
function inputs(letters: string): (server: DestinationConfig) => ServerInput {
  return ({ address }) => {
    const letter = letters[Number(address.split('.')[3]) - 1]!;
    const states = { u: 'up', d: 'down', '.': 'unknown', a: 'unknown', n: 'unchecked' } as const;
    return {
      state: states[letter as keyof typeof states] ?? 'up',
      alpha: letter === 'a',
      weight: /\d/.test(letter) ? Number(letter) : undefined,
      isDrained: letter === 'D',
    };
  };
}

/** `1:3 2:0` for server 1 with weight 3 and server 2 with weight 0; S is 10.0.0.99. */
function placeText({ effective }: ServiceState): string {
  return effective.servers
    .map(({ address, weight }) => `${address.split('.')[3]!.replace('99', 'S')}:${weight}`)
    .join(' ');
}

function eventText(event: ServiceEvent): string {
  const number = 'server' in event ? event.server.address.split('.')[3]!.replace('99', 'S') : '';
  switch (event.kind) {
    case 'server-available':
      return `+${number}`;
    case 'server-unavailable':
      return `-${number}${event.cause === 'check' ? '' : ` (${event.cause})`}`;
    case 'server-weight':
      return `${number} ${event.before}->${event.after}`;
    case 'quorum-up':
    case 'quorum-down': {
      const sign = event.kind === 'quorum-up' ? '>=' : '<';
      return `${event.kind} ${event.weight}${sign}${event.threshold}`;
    }
    case 'sorry-server-in':
      return 'sorry in';
    case 'sorry-server-out':
      return 'sorry out';
  }
}

/** Steps through the letters; each row is `servers | events`. */
function run(shape: Shape, ...letters: string[]): string[] {
  const service = serviceOf(shape);
  let state: ServiceState | undefined;
  return letters.map((row) => {
    const step = stepService(state, service, inputs(row));
    state = step.state;
    return `${placeText(state)} | ${step.events.map(eventText).join(', ')}`;
  });
}

// Servers, in the sorry server's absence: state above, place below.
test.each([
  ['u', false, '1:5'],
  ['u', true, '1:5'],
  ['.', false, '1:5'],
  ['n', false, '1:5'],
  ['a', false, ''],
  ['a', true, '1:0'],
  ['d', false, ''],
  ['d', true, '1:0'],
  ['D', false, '1:0'],
  ['D', true, '1:0'],
  ['7', false, '1:7'],
  ['0', false, '1:0'],
])('a server that is %s, inhibit %s → "%s"', (letter, inhibit, expected) => {
  const service = serviceOf({ weights: [5], inhibit });
  expect(placeText(stepService(undefined, service, inputs(letter)).state)).toBe(expected);
});

test('all as configured → the very service that was configured', () => {
  const service = serviceOf({ weights: [1, 2] });
  expect(stepService(undefined, service, inputs('u.')).state.effective).toBe(service);
});

test('quorum 1: the last server goes and comes', () => {
  expect(run({ weights: [1, 1] }, '..', 'uu', 'du', 'dd', 'ud', 'uu')).toEqual([
    '1:1 2:1 | quorum-up 2>=1',
    '1:1 2:1 | ',
    '2:1 | -1',
    ' | -2, quorum-down 0<1',
    '1:1 | +1, quorum-up 1>=1',
    '1:1 2:1 | +2',
  ]);
});

test('a sorry server: in when the quorum is lost, out when it is back', () => {
  const shape = { weights: [1, 1, 1], quorum: 2, sorry: '10.0.0.99:80' };
  expect(run(shape, 'uuu', 'duu', 'ddu', 'ddd', 'udd', 'udu')).toEqual([
    '1:1 2:1 3:1 | quorum-up 3>=2',
    '2:1 3:1 | -1',
    'S:1 | -2, sorry in, quorum-down 1<2',
    'S:1 | -3',
    'S:1 | +1',
    '1:1 3:1 | +3, sorry out, quorum-up 2>=2',
  ]);
});

test('without a sorry server a lost quorum is news only', () => {
  expect(run({ weights: [1, 1, 1], quorum: 3 }, 'uuu', 'duu', 'ddu', 'uuu')).toEqual([
    '1:1 2:1 3:1 | quorum-up 3>=3',
    '2:1 3:1 | -1, quorum-down 2<3',
    '3:1 | -2',
    '1:1 2:1 3:1 | +1, +2, quorum-up 3>=3',
  ]);
});

// Weight 1 each, quorum 3, hysteresis 1: gained at 4, lost below 2.
test('hysteresis: gained at quorum + hysteresis, lost below quorum - hysteresis', () => {
  const shape = { weights: [1, 1, 1, 1], quorum: 3, hysteresis: 1, sorry: '10.0.0.99:80' };
  expect(run(shape, 'uuud', 'uuuu', 'uuud', 'uudd', 'uddd', 'uuud', 'uuuu')).toEqual([
    'S:1 | sorry in, quorum-down 3<4',
    '1:1 2:1 3:1 4:1 | +4, sorry out, quorum-up 4>=4',
    '1:1 2:1 3:1 | -4',
    '1:1 2:1 | -3',
    'S:1 | -2, sorry in, quorum-down 1<2',
    'S:1 | +2, +3',
    '1:1 2:1 3:1 4:1 | +4, sorry out, quorum-up 4>=4',
  ]);
});

test('inhibit: servers keep their places, also beside the sorry server', () => {
  const shape = { weights: [3, 4], inhibit: true, sorry: '10.0.0.99:80' };
  expect(run(shape, 'uu', 'du', 'dd', 'ud')).toEqual([
    '1:3 2:4 | quorum-up 7>=1',
    '1:0 2:4 | -1',
    '1:0 2:0 S:1 | -2, sorry in, quorum-down 0<1',
    '1:3 2:0 | +1, sorry out, quorum-up 3>=1',
  ]);
});

test('a sorry server that is one of the servers → one place', () => {
  const shape = { weights: [3, 4], sorry: '10.0.0.1:80' };
  expect(run(shape, 'uu', 'dd', 'uu')).toEqual([
    '1:3 2:4 | quorum-up 7>=1',
    '1:1 | -1, -2, sorry in, quorum-down 0<1',
    '1:3 2:4 | +1, +2, sorry out, quorum-up 7>=1',
  ]);
  expect(run({ ...shape, inhibit: true }, 'dd')).toEqual(['2:0 1:1 | sorry in, quorum-down 0<1']);
});

test('an inhibited sorry server keeps a place with weight 0', () => {
  const extra = { sorryServerInhibit: true };
  const shape = { weights: [1], sorry: '10.0.0.99:80', extra };
  expect(run(shape, 'u', 'd', 'u')[2]).toBe('1:1 S:0 | +1, sorry out, quorum-up 1>=1');
  expect(run(shape, 'u', 'd')).toEqual([
    '1:1 S:0 | quorum-up 1>=1',
    'S:1 | -1, sorry in, quorum-down 0<1',
  ]);
  expect(run({ ...shape, sorry: '10.0.0.1:80' }, 'u')).toEqual(['1:1 | quorum-up 1>=1']);
});

test('weights of checks count for the quorum; drained servers do not', () => {
  const shape = { weights: [5, 5], quorum: 6, sorry: '10.0.0.99:80' };
  expect(run(shape, 'uu', '1u', '0u', 'Du', 'uu')).toEqual([
    '1:5 2:5 | quorum-up 10>=6',
    '1:1 2:5 | 1 5->1',
    'S:1 | 1 1->0, sorry in, quorum-down 5<6',
    'S:1 | ',
    '1:5 2:5 | 1 0->5, sorry out, quorum-up 10>=6',
  ]);
});

test('alpha: out until the first success; the first failure is told', () => {
  expect(run({ weights: [1, 1] }, 'aa', 'ua', 'ud', 'uu')).toEqual([
    ' | quorum-down 0<1',
    '1:1 | +1, quorum-up 1>=1',
    '1:1 | -2',
    '1:1 2:1 | +2',
  ]);
});

test('a start without quorum notifies only where a sorry server comes in', () => {
  const notifies = (shape: Shape, letters: string) =>
    stepService(undefined, serviceOf(shape), inputs(letters)).events.map((event) =>
      'notifies' in event ? [event.kind, event.isInitial, event.notifies] : event.kind,
    );
  expect(notifies({ weights: [1] }, 'a')).toEqual([['quorum-down', true, false]]);
  expect(notifies({ weights: [1], sorry: '10.0.0.99:80' }, 'a')).toEqual([
    'sorry-server-in',
    ['quorum-down', true, true],
  ]);
  expect(notifies({ weights: [1] }, 'u')).toEqual([['quorum-up', true, true]]);
});

test('reload: the quorum and servers that stay keep their state, one that goes is told', () => {
  const before = stepService(undefined, serviceOf({ weights: [1, 1, 1] }), inputs('udu')).state;
  const smaller = serviceOf({ weights: [2, 1] });
  const { state, events } = stepService(before, smaller, inputs('ud'));
  expect(placeText(state)).toBe('1:2');
  expect(events.map(eventText)).toEqual(['-3 (reload)']);
  const demanding = stepService(
    before,
    serviceOf({ weights: [1, 1, 1], quorum: 3 }),
    inputs('udu'),
  );
  expect(demanding.events.map(eventText)).toEqual(['quorum-down 2<3']);
});

test('reload: a sorry server that is taken away while in → the servers come back', () => {
  const shape = { weights: [1, 1], quorum: 2 };
  const before = serviceOf({ ...shape, sorry: '10.0.0.99:80' });
  const state = stepService(undefined, before, inputs('ud')).state;
  const next = stepService(state, serviceOf(shape), inputs('ud'));
  expect(placeText(next.state)).toBe('1:1');
  expect(next.events.map(eventText)).toEqual(['sorry out']);
});

test.each([
  ['reload', false, ['-1 (reload)', 'quorum-down 0<1']],
  ['reload', true, ['-1 (reload)', 'quorum-down 0<1']],
  ['stop', false, []],
  ['stop', true, ['-1 (stop)', 'quorum-down 0<1']],
] as const)('the end of a service by %s, omega %s → %j', (cause, omega, expected) => {
  const service = serviceOf({ weights: [1, 1], extra: { omega } });
  const { state } = stepService(undefined, service, inputs('ud'));
  expect(closingEvents(state, cause).map(eventText)).toEqual(expected);
});

test('the changes of a step: what goes, what is edited, what comes', () => {
  const service = serviceOf({ weights: [1, 1, 1], sorry: '10.0.0.99:80' });
  const up = stepService(undefined, service, inputs('u2u')).state;
  const down = stepService(up, service, inputs('ddd')).state;
  const some = stepService(down, service, inputs('d4u')).state;
  const lines = (changes: readonly Change[]) => changes.map((change) => describeChange(change));
  const of = 'of web (tcp 192.0.2.80:80)';
  expect(lines(serviceChanges(up, down))).toEqual([
    `- server 10.0.0.1:80 ${of}`,
    `- server 10.0.0.2:80 ${of}`,
    `- server 10.0.0.3:80 ${of}`,
    `+ server 10.0.0.99:80 ${of}`,
  ]);
  expect(lines(serviceChanges(down, some))).toEqual([
    `- server 10.0.0.99:80 ${of}`,
    `+ server 10.0.0.2:80 ${of}`,
    `+ server 10.0.0.3:80 ${of}`,
  ]);
  expect(lines(serviceChanges(some, stepService(some, service, inputs('d5u')).state))).toEqual([
    `~ server 10.0.0.2:80 ${of}: weight 4 -> 5`,
  ]);
  expect(serviceChanges(some, some)).toEqual([]);
});

const seed = seedFromEnvironment(4711);

test(`random lives of services: places, quorum and changes agree (seed ${seed})`, () => {
  const random = new Random(seed);
  for (let round = 0; round < 200; round++) {
    const weights = Array.from({ length: random.between(1, 5) }, () => random.between(0, 3));
    const quorum = random.between(1, 5);
    const shape: Shape = {
      weights,
      quorum,
      hysteresis: random.below(quorum),
      inhibit: random.oneIn(2),
      ...(random.oneIn(2) && { sorry: random.pick(['10.0.0.99:80', '10.0.0.1:80']) }),
    };
    const service = serviceOf(shape);
    let state: ServiceState | undefined;
    let quorumUp = false;
    const table = new Map<string, number>();
    for (let step = 0; step < 20; step++) {
      const letters = weights.map(() => random.pick(['u', 'd', '.', 'a', 'n', 'D', '2'])).join('');
      const next = stepService(state, service, inputs(letters)).state;
      if (state === undefined) fill(table, next);
      else replay(table, serviceChanges(state, next));
      const expected = slowTable(service, letters, quorumUp);
      quorumUp = expected.quorumUp;
      const hint = `seed ${seed}, round ${round}, ${letters}, ${JSON.stringify(shape)}`;
      expect(next.isQuorumUp, hint).toBe(quorumUp);
      expect(Object.fromEntries([...table].sort()), hint).toEqual(expected.table);
      state = next;
    }
  }
});

function fill(table: Map<string, number>, { effective }: ServiceState): void {
  for (const { address, weight } of effective.servers) table.set(address, weight);
}

/** Carries changes out as a kernel would: no adding twice, no editing of what is not there. */
function replay(table: Map<string, number>, changes: ReturnType<typeof diffServices>): void {
  for (const change of changes) {
    if (change.kind === 'destination-removed') {
      expect(table.delete(change.destination.address)).toBe(true);
    } else if (change.kind === 'destination-added') {
      expect(table.has(change.destination.address)).toBe(false);
      table.set(change.destination.address, change.destination.weight);
    } else if (change.kind === 'destination-edited') {
      expect(table.has(change.after.address)).toBe(true);
      table.set(change.after.address, change.after.weight);
    } else if (change.kind !== 'destinations-moved') {
      throw new Error(`unexpected ${change.kind}`);
    }
  }
}

/** The rules once more, server by server, as a manual would put them. */
function slowTable(service: ServiceConfig, letters: string, wasUp: boolean) {
  const weightOf = (letter: string, weight: number) =>
    letter === 'D' ? 0 : letter === '2' ? 2 : weight;
  let sum = 0;
  for (const [index, { weight }] of service.servers.entries()) {
    if (!'da'.includes(letters[index]!)) sum += weightOf(letters[index]!, weight);
  }
  const { quorum, hysteresis, sorryServer, inhibitOnFailure } = service;
  let quorumUp = wasUp;
  if (wasUp && (sum === 0 || sum < quorum - hysteresis)) quorumUp = false;
  if (!wasUp && sum >= quorum + hysteresis) quorumUp = true;
  const sorryIn = sorryServer !== undefined && !quorumUp;
  const table: Record<string, number> = {};
  for (const [index, { address, weight }] of service.servers.entries()) {
    const letter = letters[index]!;
    if (!'da'.includes(letter) && !sorryIn) table[address] = weightOf(letter, weight);
    else if (inhibitOnFailure) table[address] = 0;
  }
  if (sorryIn) table[sorryServer.address] = sorryServer.weight;
  return { quorumUp, table };
}
