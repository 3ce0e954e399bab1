/** What a request over the control socket may contain, as JSON Schema for the server. */

import { z } from 'zod';
import {
  captureRequest,
  explainRequest,
  ipvsadmRequest,
  procRequest,
  reloadRequest,
} from './schemas.ts';

export const ipvsadmRequestSchema = jsonSchema(ipvsadmRequest);
export const reloadRequestSchema = jsonSchema(reloadRequest);
export const explainRequestSchema = jsonSchema(explainRequest);
export const procRequestSchema = jsonSchema(procRequest);
export const captureRequestSchema = jsonSchema(captureRequest);

/** In the dialect that the server's validator speaks. */
function jsonSchema(schema: z.ZodType): object {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, {
    io: 'input',
    target: 'draft-7',
    // People read patterns in messages, and there a slash needs no escape.
    override: ({ jsonSchema: made }) => {
      if (made.pattern !== undefined) made.pattern = made.pattern.replaceAll('\\/', '/');
    },
  });
  return rest;
}
