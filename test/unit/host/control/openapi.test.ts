import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ROUTES } from '../../../../host/control/api.ts';
import { openApiDocument, openApiText } from '../../../../host/control/openapi.ts';
import {
  directorStatus,
  explainRequest,
  ipvsadmRequest,
  procRequest,
  reloadRequest,
} from '../../../../host/control/schemas.ts';
import { STATUS } from './support.ts';

const shipped = new URL('../../../../host/control/openapi.json', import.meta.url);

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, { operationId: string }>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, unknown>> };
}

test('the shipped OpenAPI document is the one the schemas give', () => {
  expect(
    readFileSync(shipped, 'utf8'),
    'out of date: npm run build && node dist/host/control/openapi.js',
  ).toBe(openApiText());
});

test('it has every route, and every reference leads somewhere', () => {
  const document = openApiDocument() as Document;
  expect(Object.keys(document.paths).sort()).toEqual(Object.values(ROUTES).sort());
  const names = Object.keys(document.components.schemas);
  const references = [...openApiText().matchAll(/"\$ref": "([^"]+)"/g)].map(([, to]) => to);
  expect(references.length).toBeGreaterThan(20);
  for (const reference of references) {
    expect(names.map((name) => `#/components/schemas/${name}`)).toContain(reference);
  }
});

test('the schema of the status knows every key of a status', () => {
  expect(directorStatus.parse(STATUS)).toEqual(STATUS);
});

test.each([
  ['explain', explainRequest, { protocol: 'icmp', client: '', virtual: '' }],
  ['explain', explainRequest, { protocol: 'tcp', client: '', virtual: '', extra: 1 }],
  ['proc', procRequest, { file: '../../etc/passwd' }],
  ['reload', reloadRequest, { config: 'relative.yaml' }],
  ['ipvsadm', ipvsadmRequest, { arguments: 'not a list' }],
])('%s refuses what it must', (_name, schema, value) => {
  expect(schema.safeParse(value).success).toBe(false);
});
