/**
 * The OpenAPI document of the control socket, made from the schemas that check the requests. Run as
 * a program, `node dist/host/control/openapi.js FILE`, this writes the one that ships.
 */

import { writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';
import { ROUTES, type RouteName } from './api.ts';
import * as schemas from './schemas.ts';

/** One route: what it takes, what it gives. */
interface Operation {
  readonly summary: string;
  readonly request?: z.ZodType;
  readonly result: z.ZodType;
  /** Statuses other than 200 that mean something here. */
  readonly failures: Readonly<Record<number, string>>;
}

const REFUSED = { 400: 'The request is not as described here.', 409: 'Not now.' } as const;

/** All routes but the one that gives this document. */
const OPERATIONS: Readonly<Record<Exclude<RouteName, 'openapi'>, Operation>> = {
  status: {
    summary: 'The running director: workers, ports, services, servers, counters.',
    result: schemas.directorStatus,
    failures: { 409: REFUSED[409] },
  },
  ipvsadm: {
    summary: 'Runs one command line of ipvsadm.',
    request: schemas.ipvsadmRequest,
    result: schemas.ipvsadmResult,
    failures: REFUSED,
  },
  reload: {
    summary: 'Takes a configuration over, all of it or nothing.',
    request: schemas.reloadRequest,
    result: schemas.reloadResult,
    failures: { ...REFUSED, 422: 'The configuration cannot be used; `problems` says why.' },
  },
  plan: {
    summary: 'What a reload would change.',
    request: schemas.reloadRequest,
    result: schemas.reloadResult,
    failures: { ...REFUSED, 422: 'The configuration cannot be used; `problems` says why.' },
  },
  explain: {
    summary: 'The decision about a packet, step by step, changing nothing.',
    request: schemas.explainRequest,
    result: schemas.explainResult,
    failures: REFUSED,
  },
  proc: {
    summary: 'The text of a file that IPVS has in /proc/net.',
    request: schemas.procRequest,
    result: schemas.procResult,
    failures: REFUSED,
  },
  capture: {
    summary: 'Copies of packets before and after they are rewritten, with what was decided.',
    request: schemas.captureRequest,
    result: schemas.captureResult,
    failures: { ...REFUSED, 404: 'No such service, or the capture has ended.' },
  },
};

/** The document as an object. */
export function openApiDocument(): object {
  const { components, reference } = collectComponents();
  const paths = Object.entries(OPERATIONS).map(([name, operation]) => {
    const method = operation.request === undefined ? 'get' : 'post';
    const described = describeOperation(name, operation, reference);
    return [ROUTES[name as RouteName], { [method]: described }];
  });
  return {
    openapi: '3.1.0',
    info: {
      title: 'WVS control socket',
      version: '1',
      description:
        'HTTP with JSON over the UNIX socket of a director (default /run/wvs/wvs.sock), which ' +
        'only its owner may open. Everything that the commands of wvs do goes through here. ' +
        'Durations are in seconds.',
    },
    servers: [{ url: 'http://localhost', description: 'curl --unix-socket /run/wvs/wvs.sock ...' }],
    paths: { ...Object.fromEntries(paths), [ROUTES.openapi]: { get: OWN_OPERATION } },
    components: { schemas: components },
  };
}

const OWN_OPERATION = {
  operationId: 'openapi',
  summary: 'This document.',
  responses: {
    200: { description: 'OK', content: { 'application/json': { schema: { type: 'object' } } } },
  },
};

/** The document as it ships. */
export function openApiText(): string {
  return `${JSON.stringify(openApiDocument(), undefined, 2)}\n`;
}

type Reference = (schema: z.ZodType) => object;

/** Every schema under a name, and how to refer to one. */
function collectComponents(): { components: object; reference: Reference } {
  const registry = z.registry<{ id: string }>();
  const names = new Map<z.ZodType, string>();
  const add = (name: string, schema: z.ZodType) => {
    if (names.has(schema)) return;
    names.set(schema, name);
    registry.add(schema, { id: name });
  };
  for (const [name, schema] of Object.entries(schemas.SHARED_SCHEMAS)) add(name, schema);
  add('Error', schemas.errorBody);
  for (const [name, { request, result }] of Object.entries(OPERATIONS)) {
    const title = name.charAt(0).toUpperCase() + name.slice(1);
    if (request !== undefined) add(`${title}Request`, request);
    add(`${title}Result`, result);
  }
  const uri = (id: string) => `#/components/schemas/${id}`;
  const made = z.toJSONSchema(registry, { io: 'input', target: 'draft-2020-12', uri });
  const components = Object.entries(made.schemas).map(([name, schema]) => {
    const { $schema: _, $id: __, ...rest } = schema as Record<string, unknown>;
    return [name, rest] as const;
  });
  components.sort(([a], [b]) => (a < b ? -1 : 1));
  const reference: Reference = (schema) => ({ $ref: uri(names.get(schema)!) });
  return { components: Object.fromEntries(components), reference };
}

function describeOperation(
  name: string,
  { summary, request, result, failures }: Operation,
  reference: Reference,
): object {
  const json = (schema: z.ZodType) => ({ 'application/json': { schema: reference(schema) } });
  const errors = Object.entries({ ...failures, 500: 'A mistake of the director; see its log.' });
  return {
    operationId: name,
    summary,
    ...(request && { requestBody: { required: true, content: json(request) } }),
    responses: {
      200: { description: 'OK', content: json(result) },
      ...Object.fromEntries(
        errors.map(([status, description]) => [
          status,
          { description, content: json(schemas.errorBody) },
        ]),
      ),
    },
  };
}

const isProgram = import.meta.url === pathToFileURL(process.argv[1] ?? '').href;
if (isProgram) writeFileSync(process.argv[2] ?? 'host/control/openapi.json', openApiText());
