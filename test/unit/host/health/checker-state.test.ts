import { expect, test } from 'vitest';
import {
  addResult,
  type CheckerRecord,
  type CheckerRules,
  inheritedRecord,
  unknownRecord,
} from '../../../../host/health/checker-state.ts';
import { Random, seedFromEnvironment } from '../../../support/random.ts';
import { FAIL, PASS } from './support.ts';

const RULES: CheckerRules = { rise: 2, fall: 3 };
const DAMPED: CheckerRules = {
  rise: 1,
  fall: 1,
  damping: { changes: 3, within: 100_000, hold: 50_000 },
};

/** Feeds results, one each second: + passes, - fails, ? is no fault of the server's. */
function run(results: string, rules = RULES, start = unknownRecord(0)): CheckerRecord[] {
  const records: CheckerRecord[] = [];
  let record = start;
  for (const [index, sign] of [...results].entries()) {
    const result = sign === '+' ? PASS : sign === '-' ? FAIL : { ...FAIL, isOurs: true };
    const now = (index + 1) * 1000;
    record = addResult(record, result, rules, { now, wall: now });
    records.push(record);
  }
  return records;
}

/** The states after each result: u, d, or . for unknown. */
function states(results: string, rules = RULES, start?: CheckerRecord): string {
  const letters = { unknown: '.', up: 'u', down: 'd' };
  return run(results, rules, start)
    .map(({ state }) => letters[state])
    .join('');
}

// Two rows: results above, states below. rise 2, fall 3.
test.each([
  ['+', 'u'],
  ['-', '.'],
  ['--', '..'],
  ['---', '..d'],
  ['--+', '..u'],
  ['-+--+--+', '.uuuuuuu'],
  ['+---', 'uuud'],
  ['+--+---', 'uuuuuud'],
  ['+---+', 'uuudd'],
  ['+---++', 'uuuddu'],
  ['+---+-++', 'uuuddddu'],
  ['+---++---', 'uuudduuud'],
  ['?', '.'],
  ['+--?-', 'uuuud'],
  ['+---+?+', 'uuudddu'],
  ['+??????', 'uuuuuuu'],
])('rise 2, fall 3: %s → %s', (results, expected) => {
  expect(states(results)).toBe(expected);
});

test('alpha: one failure of an unknown server → down', () => {
  expect(states('-', { ...RULES, alpha: true })).toBe('d');
  expect(states('+--', { ...RULES, alpha: true })).toBe('uuu');
  expect(states('-+', { ...RULES, alpha: true })).toBe('dd');
  expect(states('-++', { ...RULES, alpha: true })).toBe('ddu');
});

test('counts: in a row; since: the last change', () => {
  const records = run('+--+---+');
  expect(records.map(({ successes, failures }) => `${successes}${failures}`).join(' ')).toBe(
    '10 01 02 10 01 02 03 10',
  );
  expect(records.map(({ since }) => since / 1000)).toEqual([1, 1, 1, 1, 1, 1, 7, 7]);
  expect(records.at(-1)!.lastResult).toEqual({ ...PASS, at: 8000 });
});

test('weight: of the last success that names one; a failure keeps it', () => {
  const steps = [{ ...PASS, weight: 5 }, FAIL, { ...PASS, weight: 9 }, PASS];
  let record = unknownRecord(0);
  const weights = steps.map((result) => {
    record = addResult(record, result, RULES, { now: 0, wall: 0 });
    return record.weight;
  });
  expect(weights).toEqual([5, 5, 9, undefined]);
});

test('inherited: state and since stay, counts start again, a weight only if told', () => {
  const record = { ...run('+--').at(-1)!, weight: 4 };
  expect(inheritedRecord(record, false)).toMatchObject({
    state: 'up',
    since: 1000,
    failures: 0,
    weight: undefined,
  });
  expect(inheritedRecord(record, true).weight).toBe(4);
  expect(states('--', RULES, inheritedRecord(record, false))).toBe('uu');
});

test('damping: the third change within the time → down, held for its time', () => {
  // Changes: at 2 down, at 3 up, at 4 down: held until 54, the next success is at 55.
  const records = run(`+-+-${'+'.repeat(52)}`, DAMPED);
  expect(records[3]).toMatchObject({ state: 'down', heldUntil: 54_000 });
  const upAgain = records.findIndex(({ state }, index) => index > 3 && state === 'up');
  expect((upAgain + 1) * 1000).toBe(54_000);
  expect(records[upAgain]!.heldUntil).toBeUndefined();
  // It has served its time: two more changes do not hold it again.
  expect(records[upAgain]!.changes).toEqual([54_000]);
});

test('damping: a change to up that would be one too many → refused', () => {
  const rules = { ...DAMPED, damping: { changes: 2, within: 100_000, hold: 5_000 } };
  expect(states('+-+', rules)).toBe('udd');
  expect(run('+-+', rules).at(-1)!.heldUntil).toBe(8_000);
  expect(states('+-++++++', rules)).toBe('uddddddu');
});

test('damping: changes long ago do not count; becoming known is none', () => {
  const rules = { ...DAMPED, damping: { changes: 3, within: 3_000, hold: 50_000 } };
  expect(states('+-+++-+++-', rules)).toBe('uduuuduuud');
  expect(run('+-+++-+++-', rules).every(({ heldUntil }) => heldUntil === undefined)).toBe(true);
});

const seed = seedFromEnvironment(20_261);

test(`any results: as the last ones in a row say (seed ${seed})`, () => {
  const random = new Random(seed);
  for (let round = 0; round < 300; round++) {
    const rules = {
      rise: random.between(1, 4),
      fall: random.between(1, 4),
      alpha: random.oneIn(2),
    };
    const length = random.between(1, 40);
    const text = Array.from({ length }, () => random.pick(['+', '-', '?'])).join('');
    expect(states(text, rules), `${text} ${JSON.stringify(rules)}`).toBe(slowStates(text, rules));
  }
});

/** The slow twin: looks back over all of the text for each result. */
function slowStates(text: string, { rise, fall, alpha }: CheckerRules): string {
  let states = '';
  for (let end = 1; end <= text.length; end++) {
    const known = text.slice(0, end).replaceAll('?', '');
    const before = states.at(-1) ?? '.';
    if (text[end - 1] === '?') states += before;
    else if (before === '.' && known.endsWith('+')) states += 'u';
    else if (before === '.' && alpha === true) states += 'd';
    else if (before !== 'd' && known.endsWith('-'.repeat(fall))) states += 'd';
    else if (before === 'd' && known.endsWith('+'.repeat(rise))) states += 'u';
    else states += before;
  }
  return states;
}
