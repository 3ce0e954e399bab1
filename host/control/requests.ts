/** What a request over the control socket may contain, as JSON Schema for the server. */

const ARGUMENTS_MAX = 1_000;
const ARGUMENT_LENGTH_MAX = 4_096;
const PATH_LENGTH_MAX = 4_096;
const ENDPOINT_LENGTH_MAX = 64;

export const ipvsadmRequestSchema = {
  type: 'object',
  required: ['arguments'],
  additionalProperties: false,
  properties: {
    arguments: {
      type: 'array',
      maxItems: ARGUMENTS_MAX,
      items: { type: 'string', maxLength: ARGUMENT_LENGTH_MAX },
    },
    stdin: { type: 'string' },
  },
};

export const reloadRequestSchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    // The director's working directory is not the client's.
    config: { type: 'string', maxLength: PATH_LENGTH_MAX, pattern: '^/' },
  },
};

export const explainRequestSchema = {
  type: 'object',
  required: ['protocol', 'client', 'virtual'],
  additionalProperties: false,
  properties: {
    protocol: { enum: ['tcp', 'udp', 'sctp'] },
    client: { type: 'string', maxLength: ENDPOINT_LENGTH_MAX },
    virtual: { type: 'string', maxLength: ENDPOINT_LENGTH_MAX },
  },
};
