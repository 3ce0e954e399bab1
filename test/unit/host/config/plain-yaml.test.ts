/** What the reader of plain YAML answers is what a parser of all of YAML answers. */

import { describe, expect, test } from 'vitest';
import { PlainYaml } from '../../../../host/config/plain-yaml.ts';
import { type Path, YamlSource } from '../../../../host/config/yaml-source.ts';
import { Random, seedFromEnvironment } from '../../../support/random.ts';

const SEED = seedFromEnvironment(7_2026);
const TEXTS = 5_000;

const TEXT = `services:
  # The first one.
  - name: web   # and its name
    listen: '192.0.2.80:80/tcp'

    quorum: 2
    inhibit_on_failure: true
    defaults: {}
    servers:
      - { address: 10.0.0.1, weight: 0 }
      - address: "[2001:db8::1]:80"
        check: { type: http, status: [200, 204], path: /a/b, }
    tags: [ a, [b, 3], 1.2.3.4 ]
  - name: dns
    servers:
    - { address: 2001:db8::2 }
`;

/** The value, and where the items of all its lists are. */
function contentOf(source: PlainYaml | YamlSource) {
  const positions: unknown[] = [];
  const walk = (value: unknown, path: Path) => {
    if (typeof value !== 'object' || value === null) return;
    for (const [key, child] of Object.entries(value)) {
      const step = Array.isArray(value) ? Number(key) : key;
      const inner = [...path, step];
      if (Array.isArray(value)) positions.push([inner, source.positionOf(inner)]);
      expect(source.existingPart([...inner, 'missing'])).toEqual(inner);
      walk(child, inner);
    }
  };
  walk(source.value, []);
  return { value: source.value, positions };
}

const PIECES = [
  ...['- ', '-', ': ', ':', ' ', '  ', '\n', '\n  ', '# x', ' # x', ',', '{', '}', '[', ']', "'"],
  ...[
    '"',
    '\\',
    '\t',
    '\r\n',
    '&a',
    '*a',
    '!t',
    '|',
    '>',
    '?',
    '%',
    '@',
    '~',
    'null',
    'true',
    'No',
  ],
  ...['1', '007', '1e3', '1.5', '.5', '-5', '0x1f', '0o7', '1_000', 'a', 'a b', 'a:b', '{}', '[]'],
  ...[
    'key: value',
    "'it''s'",
    '"q"',
    '---',
    '...',
    '<<: ',
    '- - a',
    'é',
    '10.0.0.1:80',
    '1.',
    '__proto__: 1',
  ],
];

function edited(text: string, random: Random): string {
  let result = text;
  for (let edits = 1 + random.below(3); edits > 0; edits--) {
    const at = random.below(result.length + 1);
    const removed = random.below(3) === 0 ? random.below(12) : 0;
    const piece = random.below(4) === 0 ? '' : PIECES[random.below(PIECES.length)]!;
    result = result.slice(0, at) + piece + result.slice(at + removed);
  }
  return result;
}

describe('plain YAML', () => {
  test('a text that is plain: values and positions are those of YAML', () => {
    const plain = PlainYaml.read(TEXT);
    expect(plain).toBeDefined();
    expect(contentOf(plain!)).toEqual(contentOf(new YamlSource(TEXT, '')));
  });

  test(`random edits of it: either not plain, or the same as YAML (seed ${SEED})`, () => {
    const random = new Random(SEED);
    let read = 0;
    for (let count = 0; count < TEXTS; count++) {
      const text = edited(TEXT, random);
      const plain = PlainYaml.read(text);
      if (plain === undefined) continue;
      read++;
      const yaml = new YamlSource(text, '');
      expect(yaml.problems, text).toEqual([]);
      expect(contentOf(plain), text).toEqual(contentOf(yaml));
    }
    expect(read).toBeGreaterThan(TEXTS / 20);
  });

  test.each([
    ['nothing', ''],
    ['a list', '- a'],
    ['an empty value', 'a:\nb: 1'],
    ['a key twice', 'a: 1\na: 2'],
    ['a value over two lines', 'a: b\n  c'],
    ['brackets over two lines', 'a: [1,\n  2]'],
    ['a quote inside quotes', "a: 'it''s'"],
    ['an escape', 'a: "\\n"'],
    ['a fraction', 'a: 1.5'],
    ['a tab', 'a:\tb'],
    ['an anchor', 'a: &x b'],
    ['brackets without end', `a: ${'['.repeat(100_000)}`],
  ])('%s: left to others', (_, text) => {
    expect(PlainYaml.read(text)).toBeUndefined();
  });
});
