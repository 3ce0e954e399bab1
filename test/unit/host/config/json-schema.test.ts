import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { configJsonSchema } from '../../../../host/config/write-schema.ts';

const shipped = new URL('../../../../host/config/wvs.schema.json', import.meta.url);

test('the shipped JSON Schema is the one the definition gives', () => {
  expect(
    readFileSync(shipped, 'utf8'),
    'out of date: npm run build && node dist/host/config/write-schema.js',
  ).toBe(configJsonSchema());
});

test('the JSON Schema speaks of every key of the top level, and refuses others', () => {
  const schema = JSON.parse(configJsonSchema());
  expect(Object.keys(schema.properties)).toEqual([
    'version',
    'director',
    'marks',
    'defaults',
    'services',
  ]);
  expect(schema.additionalProperties).toBe(false);
  expect(schema.required).toEqual(['version', 'director']);
  expect(Object.keys(schema.$defs).sort()).toEqual([
    'check',
    'director',
    'drain',
    'forwarding',
    'scheduler',
    'server',
    'service',
    'tunnel',
  ]);
});
