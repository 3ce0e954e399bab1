/** The parser with a memory answers what one without has: the same configuration, the same errors. */

import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../../../host/config/parse.ts';
import { RememberingParser } from '../../../../host/config/reload-parser.ts';
import { sliceServices } from '../../../../host/config/reload-slices.ts';
import type { ServiceConfig } from '../../../../host/config/types.ts';
import { randomConfig } from '../../../reload/random-config.ts';
import { Random, seedFromEnvironment } from '../../../support/random.ts';

const SEED = seedFromEnvironment(5_2026);
const FILES = 400;

const TEXT = `version: 1
director:
  ports: [{ name: wan }]
services:
  # The first one.
  - name: web
    listen: 192.0.2.80:80/tcp
    servers:
      - { address: 10.0.0.1 }

  - name: dns
    listen: 192.0.2.80:53/udp
    servers: [{ address: 10.0.0.2 }]
`;

/** Positions of servers are relative to their service's text there, and stay so when it moves. */
function withoutShift(services: readonly ServiceConfig[]): ServiceConfig[] {
  return services.map(({ lineShift = 0, servers, ...service }) => ({
    ...service,
    servers: servers.map(({ position, ...server }) => ({
      ...server,
      ...(position && { position: { ...position, line: position.line + lineShift } }),
    })),
  }));
}

function expectSame(parser: RememberingParser, text: string): void {
  const expected = parseConfig(text, 'wvs.yaml');
  const found = parser.parse(text, 'wvs.yaml');
  if (!expected.ok || !found.ok) {
    expect(found, text).toEqual(expected);
    return;
  }
  expect(found.warnings).toEqual(expected.warnings);
  const { services, ...rest } = found.config;
  const { services: expectedServices, ...expectedRest } = expected.config;
  expect(rest, text).toEqual(expectedRest);
  expect(withoutShift(services), text).toEqual(withoutShift(expectedServices));
}

/** One small edit, as likely as not a wrong one. */
function edited(text: string, random: Random): string {
  const lines = text.split('\n');
  const at = random.below(lines.length);
  const line = lines[at] ?? '';
  const edits = [
    () => lines.splice(at, 1),
    () => lines.splice(at, 0, '# a comment'),
    () => lines.splice(at, 0, line),
    () => lines.splice(at, 0, ''),
    () => lines.splice(at, 1, ` ${line}`),
    () => lines.splice(at, 1, line.slice(0, random.below(line.length + 1))),
    () => lines.splice(at, 1, line.replace(/\d/, String(random.below(10)))),
    () => lines.splice(at, 1, line.replace('weight', 'wieght')),
    () => lines.splice(at, 1, `${line} # &anchor *alias`),
  ];
  edits[random.below(edits.length)]!();
  return lines.join('\n');
}

describe('the parser with a memory', () => {
  test(`random files and edits: as the parser without (seed ${SEED})`, () => {
    const random = new Random(SEED);
    const parser = new RememberingParser();
    let text = randomConfig(random);
    for (let file = 0; file < FILES; file++) {
      if (random.below(8) === 0) text = randomConfig(random);
      const next = edited(text, random);
      expectSame(parser, next);
      if (parseConfig(next, 'wvs.yaml').ok) text = next;
    }
  });

  test('services that were not edited are the same objects, also when they have moved', () => {
    const parser = new RememberingParser();
    const before = parser.parse(TEXT, 'wvs.yaml');
    const after = parser.parse(TEXT.replace('10.0.0.1 ', '10.0.0.9 '), 'wvs.yaml');
    const moved = parser.parse(TEXT.replace('services', '# moved\nservices'), 'wvs.yaml');
    if (!before.ok || !after.ok || !moved.ok) throw new Error('not ok');
    expect(after.config.services[0]).not.toBe(before.config.services[0]);
    expect(after.config.services[1]).toBe(before.config.services[1]);
    expect(moved.config.services[1]?.servers).toBe(before.config.services[1]?.servers);
    expect(moved.config.services[1]?.position).toEqual({ line: 12, column: 5 });
  });

  test('other defaults: nothing is remembered', () => {
    const parser = new RememberingParser();
    parser.parse(TEXT, 'wvs.yaml');
    const other = TEXT.replace('services:', 'defaults: { scheduler: rr }\nservices:');
    const after = parser.parse(other, 'wvs.yaml');
    expect(after.ok && after.config.services.map(({ scheduler }) => scheduler)).toEqual([
      'rr',
      'rr',
    ]);
  });
});

describe('slices', () => {
  test('together with the frame they are the whole text', () => {
    const slices = sliceServices(TEXT)!;
    expect(slices.services.map(({ line }) => line)).toEqual([5, 11]);
    const all = slices.services.map(({ text }) => text).join('');
    expect(`${TEXT.slice(0, TEXT.indexOf('  # The'))}${all}`).toBe(TEXT);
    expect(slices.frame).not.toContain('dns');
  });

  test.each([
    ['flow style', 'services: [{ listen: mark 1 }]\n'],
    ['an anchor', TEXT.replace('name: web', 'name: &name web')],
    ['a merge key', TEXT.replace('name: web', '<<: {}')],
    ['two documents', `${TEXT}---\n${TEXT}`],
    ['the section twice', `${TEXT}${TEXT.slice(TEXT.indexOf('services'))}`],
    ['an item further out', TEXT.replace('  - name: dns', ' - name: dns')],
    ['no services', TEXT.slice(0, TEXT.indexOf('services'))],
  ])('%s: not cut', (_, text) => {
    expect(sliceServices(text)).toBeUndefined();
  });

  test('what follows the services keeps its lines', () => {
    const slices = sliceServices(`${TEXT}marks:\n  - { mark: 7, destination: 192.0.2.90 }\n`)!;
    expect(slices.frame.split('\n').indexOf('marks:')).toBe(TEXT.split('\n').length - 1);
  });
});
