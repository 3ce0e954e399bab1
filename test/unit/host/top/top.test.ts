import { describe, expect, test } from 'vitest';
import type { DirectorStatus } from '../../../../host/control/api.ts';
import { actOn, splitKeys } from '../../../../host/top/keys.ts';
import { createModel, type Order, type Sample } from '../../../../host/top/model.ts';
import { renderTop, type Screen, type View } from '../../../../host/top/render.ts';
import { topOnce } from '../../../../host/top/top.ts';
import { STATUS } from '../control/support.ts';
import { largeStatus } from './support.ts';

const ORDER: Order = { by: 'connections', isReversed: false };
const VIEW: View = {
  order: ORDER,
  showsServers: true,
  scroll: 0,
  showsHelp: false,
  isPaused: false,
  message: undefined,
};
const SCREEN: Screen = { columns: 80, rows: 24, hasColours: false };

function sample(status: DirectorStatus, atMs: number): Sample {
  return { status, atMs };
}

function draw(
  status: DirectorStatus,
  {
    view = {},
    screen = {},
    before,
  }: {
    view?: Partial<View>;
    screen?: Partial<Screen>;
    before?: DirectorStatus;
  } = {},
) {
  const chosen = { ...VIEW, ...view };
  const earlier = before && sample(before, 0);
  const model = createModel(sample(status, 2_000), earlier, chosen.order);
  return renderTop(model, chosen, { ...SCREEN, ...screen });
}

describe('a frame', () => {
  test('in 80 columns', () => {
    const worker = STATUS.workers[0]!;
    const later: DirectorStatus = {
      ...STATUS,
      workers: [{ ...worker, received: 32_345, transmitted: 32_300, dropped: 49 }],
      counters: { ...STATUS.counters, 'drop-no-server': 6 },
    };
    const { lines } = draw(later, { before: STATUS });
    expect(lines.map((line) => line.trimEnd())).toEqual([
      'wvs 0.1.0  up 1d 2h                               1,234 of 1,000,000 connections',
      'sorted by connections   ? helps, q quits',
      'WORKER STATE    BUSY                   PKT/BURST   RX/S   TX/S DROP/S RESTARTS',
      '     0 running  [||              ]  13%      23.1    10k    10k      2        1',
      '',
      'PORT            LINK  MODE                 RX/S  RX BIT/S    TX/S  TX BIT/S',
      'wan             up    native, zero-copy    1.2M        8G       0         0',
      '',
      'DROPPED BECAUSE OF                              DROP/S           TOTAL',
      'no-server                                           2               6',
      '',
      'SERVICE / SERVER          HEALTH     WGT ACTIVE  INACT CONN/S  IN/S OUT/S IN BIT',
      'mark 7                    0/0 up              0      0     12  1.5k     0   720k',
      'web tcp 192.0.2.80:80     1/2 up             1k    234     12  1.5k     0   720k',
      '  10.0.0.11:80            up           3     1k    234     12  1.5k     0   720k',
      '  10.0.0.12:80            down         1      0      0      0     0     0      0',
    ]);
  });

  test.each([20, 40, 60, 80, 100, 132, 250])('in %i columns no line is longer', (columns) => {
    for (const showsHelp of [false, true]) {
      const { lines } = draw(largeStatus(3, 3), { screen: { columns }, view: { showsHelp } });
      for (const line of lines) expect(line.length, line).toBeLessThanOrEqual(columns);
    }
  });

  test.each([1, 5, 10, 24, 50])('on %i rows it is not longer, and scrolls to its end', (rows) => {
    const status = largeStatus(30, 4);
    const { lines, scrollMax } = draw(status, { screen: { rows } });
    expect(lines.length).toBeLessThanOrEqual(rows);
    if (rows < 20) return;
    const end = draw(status, { screen: { rows }, view: { scroll: scrollMax } });
    expect(end.lines.at(-1)).toContain('b:3]:8443');
    expect(draw(status, { screen: { rows }, view: { scroll: 9_999 } }).lines).toEqual(end.lines);
  });

  test('wide screens show all columns, whole names too', () => {
    const { lines } = draw(largeStatus(1, 1), { screen: { columns: 160 } });
    const text = lines.join('\n');
    for (const heading of ['HEALTH', 'HOW', 'WGT', 'INACT', 'OUT BIT']) {
      expect(text).toContain(heading);
    }
    expect(text).toContain(
      'service-with-a-long-name-0 tcp [2001:db8:ffff:eeee:dddd:cccc:bbbb:0]:443',
    );
  });

  test('colours: down is red, and what is shown is as wide as without', () => {
    const plain = draw(STATUS).lines;
    const coloured = draw(STATUS, { screen: { hasColours: true } }).lines;
    expect(coloured.find((line) => line.includes('10.0.0.12'))).toMatch(/^\p{Cc}\[31m/u);
    const stripped = coloured.map((line) => line.replace(/\p{Cc}\[\d*m/gu, ''));
    expect(stripped).toEqual(plain);
  });

  test('names cannot move the cursor', () => {
    const [web] = STATUS.services;
    const services = [{ ...web!, name: 'evil\x1b[2J\r\nname\u202e' }];
    const text = draw({ ...STATUS, services }).lines.join('');
    expect(text).not.toMatch(/\p{Cc}|\p{Cf}/u);
  });

  test('no services, no ports, no workers, no drops', () => {
    const { lines } = draw({ ...STATUS, services: [], ports: [], workers: [], counters: {} });
    expect(lines.at(-1)).toBe('no services');
  });

  test('a message takes the place of the second line', () => {
    const { lines } = draw(STATUS, { view: { message: 'no director answers' } });
    expect(lines[1]).toBe('no director answers');
  });

  test('many workers: the first, and how many more', () => {
    const worker = STATUS.workers[0]!;
    const workers = Array.from({ length: 32 }, (_, id) => ({ ...worker, id }));
    expect(draw({ ...STATUS, workers }).lines).toContain('   ... 24 more workers');
  });
});

describe('the order', () => {
  const names = (by: Order['by'], isReversed = false) => {
    const model = createModel(sample(largeStatus(3, 3), 0), undefined, { by, isReversed });
    return model.services.map(({ name }) => name.slice(25, 26));
  };
  test('by connections: the busiest first, or last', () => {
    expect(names('connections')).toEqual(['2', '1', '0']);
    expect(names('connections', true)).toEqual(['0', '1', '2']);
  });
  test('by name; equal ones always stand by name', () => {
    expect(names('name')).toEqual(['0', '1', '2']);
    expect(names('name', true)).toEqual(['2', '1', '0']);
    expect(names('bits', true)).toEqual(['0', '1', '2']);
  });
  test('servers likewise', () => {
    const model = createModel(sample(largeStatus(1, 3), 0), undefined, {
      by: 'active',
      isReversed: false,
    });
    expect(model.services[0]!.servers.map(({ active }) => active)).toEqual([2, 1, 0]);
  });
});

describe('rates', () => {
  test('none before the second look', () => {
    const { workers, drops } = createModel(sample(STATUS, 0), undefined, ORDER);
    expect(workers[0]!.received).toBeUndefined();
    expect(drops[0]!.perSecond).toBeUndefined();
  });
  test('another process counts from 0: no rate', () => {
    const before = sample({ ...STATUS, pid: 7 }, 0);
    const { workers } = createModel(sample(STATUS, 1_000), before, ORDER);
    expect(workers[0]!.received).toBeUndefined();
  });
  test('a reason that is new', () => {
    const now = sample({ ...STATUS, counters: { 'drop-new': 10 } }, 1_000);
    const { drops } = createModel(now, sample(STATUS, 0), ORDER);
    expect(drops).toEqual([{ reason: 'new', perSecond: 10, total: 10 }]);
  });
});

describe('keys', () => {
  const range = { max: 10, page: 5 };
  const after = (keys: string, view: View = VIEW): View => {
    let current = view;
    for (const key of splitKeys(keys)) {
      const action = actOn(key, current, range);
      if (action?.kind === 'view') current = action.view;
    }
    return current;
  };

  test.each([['q'], ['Q'], ['\x03']])('%j quits', (key) => {
    expect(actOn(key, VIEW, range)).toEqual({ kind: 'quit' });
  });
  test('sort keys choose, and again reverse', () => {
    expect(after('a').order).toEqual({ by: 'active', isReversed: false });
    expect(after('aa').order).toEqual({ by: 'active', isReversed: true });
    expect(after('aab').order).toEqual({ by: 'bits', isReversed: false });
    expect(after('r').order).toEqual({ by: 'connections', isReversed: true });
  });
  test('scrolling stays within the list', () => {
    expect(after('jjj').scroll).toBe(3);
    expect(after('jk').scroll).toBe(0);
    expect(after('k').scroll).toBe(0);
    expect(after('\x1b[6~\x1b[6~\x1b[6~').scroll).toBe(10);
    expect(after('\x1b[F').scroll).toBe(10);
    expect(after('\x1b[F\x1b[A').scroll).toBe(9);
    expect(after('\x1bOB').scroll).toBe(1);
    expect(after('\x1b[F\x1b[H').scroll).toBe(0);
    expect(after('j', { ...VIEW, scroll: 999 }).scroll).toBe(10);
  });
  test('servers, help, pause', () => {
    expect(after('s').showsServers).toBe(false);
    expect(after('?').showsHelp).toBe(true);
    expect(after(' ').isPaused).toBe(true);
    expect(after('  ').isPaused).toBe(false);
  });
  test('faster and slower', () => {
    expect(actOn('+', VIEW, range)).toEqual({ kind: 'interval', factor: 0.5 });
    expect(actOn('-', VIEW, range)).toEqual({ kind: 'interval', factor: 2 });
  });
  test('others do nothing', () => {
    for (const key of ['x', '\x1b', '\x1b[99~', 'é'])
      expect(actOn(key, VIEW, range)).toBeUndefined();
  });
});

test('one frame: plain text, two looks a second apart', async () => {
  let asked = 0;
  const ask = async () => {
    asked++;
    const worker = STATUS.workers[0]!;
    return { ...STATUS, workers: [{ ...worker, received: asked * 1_000 }] };
  };
  const text = await topOnce({ ask, order: ORDER, intervalMs: 2_000 });
  expect(asked).toBe(2);
  expect(text).not.toContain('\x1b');
  expect(text).toMatch(/^wvs 0\.1\.0 {2}up 1d 2h/);
  expect(text).toMatch(/running .*\b(9\d\d|1k|1\.0k)\b/);
  expect(text).not.toMatch(/[ \t]$/m);
});
