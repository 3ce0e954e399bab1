/**
 * The JSON Schema that ships with the product, for editors: generated from schema.ts. Run as a
 * program, `node dist/host/config/write-schema.js FILE`, this writes it.
 */

import { writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';
import { configSchema } from './schema.ts';

/** The JSON Schema of a configuration file as text. */
export function configJsonSchema(): string {
  // `input`: editors see what a file may say, not what WVS makes of it.
  const schema = z.toJSONSchema(configSchema, { io: 'input' });
  return `${JSON.stringify(schema, undefined, 2)}\n`;
}

const isProgram = import.meta.url === pathToFileURL(process.argv[1] ?? '').href;
if (isProgram) writeFileSync(process.argv[2] ?? 'host/config/wvs.schema.json', configJsonSchema());
