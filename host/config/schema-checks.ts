/** The health checks a configuration may ask for, one mapping for each type. */

import { z } from 'zod';
import {
  address,
  choice,
  duration,
  flag,
  integer,
  list,
  mapping,
  matching,
  scalar,
  text,
} from './schema-leaves.ts';

const CHECK_PERIOD_MAX_MS = 86_400_000;
const ATTEMPTS_MAX = 1_000;
const FACTOR_MAX = 2_147_483_647;

/** When a check probes and what its results lead to; every type of check understands these. */
const timing = {
  interval: duration(100, CHECK_PERIOD_MAX_MS)
    .optional()
    .describe('Time from one probe to the next. Default 2s.'),
  timeout: duration(10, CHECK_PERIOD_MAX_MS)
    .optional()
    .describe('How long a probe may take. Default 1s.'),
  rise: integer(1, ATTEMPTS_MAX).optional().describe('Successes in a row until up. Default 2.'),
  fall: integer(1, ATTEMPTS_MAX).optional().describe('Failures in a row until down. Default 3.'),
  retryDelay: duration(10, CHECK_PERIOD_MAX_MS)
    .optional()
    .describe('Time to the next probe after a failure, until down. Default: the interval.'),
  jitter: duration(0, CHECK_PERIOD_MAX_MS)
    .optional()
    .describe('Each interval is shorter by a random time up to this. Default: a tenth of it.'),
  warmUp: duration(0, CHECK_PERIOD_MAX_MS)
    .optional()
    .describe('First probes are spread at random over this time. Default: the interval.'),
  alpha: flag()
    .optional()
    .describe('A server counts as down until its first success. Default false: as up.'),
  damping: mapping({
    changes: integer(2, ATTEMPTS_MAX).describe('State changes that count as flapping.'),
    within: duration(1_000, CHECK_PERIOD_MAX_MS).describe('The time they are counted in.'),
    hold: duration(1_000, CHECK_PERIOD_MAX_MS).describe('How long a flapping server stays down.'),
  })
    .optional()
    .describe('Holds a server down that goes up and down too often. Default: off.'),
};

/** Where a check over the network comes from. */
const source = {
  source: address().optional().describe("The director's address to probe from. Default: any."),
};

/** Where a check over the network goes, when that is not simply the server. */
const target = {
  ...source,
  address: address().optional().describe("Another address than the server's own."),
  port: integer(1, 65535).optional().describe("Another port than the server's own."),
  via: choice(['server', 'vip'])
    .optional()
    .describe(
      'vip: probe the virtual address through the server, which proves that the server ' +
        'accepts it (direct-route and tunnel; Linux 6.6). Default server.',
    ),
};

const http = {
  method: choice(['GET', 'HEAD']).optional().describe('Default GET.'),
  path: matching('a path that starts with /', /^\/\S*$/)
    .optional()
    .describe('Default /.'),
  host: text('a host name').optional().describe("The Host header. Default: the server's address."),
  headers: z
    .record(z.string(), z.string({ error: 'expected text' }), { error: 'expected a mapping' })
    .optional()
    .describe('Further request headers.'),
  status: statusRanges().optional().describe('The status codes that pass. Default 200-299.'),
  body: regularExpression().optional().describe('A regular expression the body must match.'),
  contains: text('a text').optional().describe('A text the body must have in it.'),
  bodyFlags: matching('some of the letters i, m and s', /^(?!.*(.).*\1)[ims]+$/)
    .optional()
    .describe('For `body` and `bodyNot`. i: either case; m: ^ and $ at lines; s: . at line ends.'),
  bodyNot: regularExpression().optional().describe('A regular expression the body must not match.'),
  digest: matching('an MD5 or SHA-256 digest in hexadecimal', /^([0-9a-fA-F]{32}|[0-9a-fA-F]{64})$/)
    .optional()
    .describe('The MD5 or SHA-256 digest the body must have.'),
};

const tls = {
  sni: text('a host name').optional().describe('The name asked for in the TLS handshake.'),
  verify: flag().optional().describe('Check the certificate, chain and name. Default false.'),
  ca: text('a file name').optional().describe('Certificates to trust, PEM, instead of the system.'),
  certificate: text('a file name').optional().describe('A certificate to show, PEM.'),
  key: text('a file name').optional().describe('The private key of that certificate, PEM.'),
  validFor: duration(0)
    .optional()
    .describe("The server's certificate must not end sooner than this. Default: not looked at."),
};

/**
 * What a check takes from the checks further out when it does not say so itself: when it probes and
 * from where, but not what it asks for nor where.
 */
export const INHERITED_CHECK_FIELDS = [
  ...(Object.keys(timing) as (keyof typeof timing)[]),
  ...(Object.keys(source) as (keyof typeof source)[]),
];

/** A check, told apart by its `type`. */
const oneCheckSchema = z
  .discriminatedUnion(
    'type',
    [
      mapping({ type: z.literal('none').describe('No check: the server counts as up.') }),
      mapping({
        type: z.literal('icmp').describe('An echo request is answered.'),
        ...timing,
        ...source,
      }),
      mapping({ type: z.literal('tcp').describe('A connection opens.'), ...timing, ...target }),
      mapping({
        type: z.literal('http').describe('An HTTP request is answered as wanted.'),
        ...timing,
        ...target,
        ...http,
      }),
      mapping({
        type: z.literal('https').describe('The same over TLS.'),
        ...timing,
        ...target,
        ...http,
        ...tls,
      }),
      mapping({
        type: z.literal('udp').describe('A datagram is answered, or at least not refused.'),
        ...timing,
        ...target,
        send: z.string({ error: 'expected text' }).optional().describe('What to send, as text.'),
        sendHex: matching('bytes in hexadecimal', /^([0-9a-fA-F]{2})*$/)
          .optional()
          .describe('What to send, as bytes.'),
        requireReply: flag().optional().describe('Silence is a failure. Default false.'),
        expect: regularExpression().optional().describe('What a reply must match.'),
        expectHex: matching('bytes in hexadecimal, x for any digit', /^([0-9a-fA-FxX]{2})*$/)
          .optional()
          .describe('What a reply must start with, as bytes; x stands for any digit.'),
        replyMin: integer(0, 65_535).optional().describe('Bytes of a reply, at least.'),
        replyMax: integer(0, 65_535).optional().describe('Bytes of a reply, at most.'),
      }),
      mapping({
        type: z.literal('dns').describe('A DNS query is answered.'),
        ...timing,
        ...target,
        name: text('a domain name').optional().describe('Default: the root, "."'),
        record: choice(['A', 'AAAA', 'NS', 'CNAME', 'SOA', 'MX', 'TXT', 'SRV', 'PTR'])
          .optional()
          .describe('Default SOA.'),
      }),
      mapping({
        type: z.literal('smtp').describe('A mail server greets and takes our greeting.'),
        ...timing,
        ...target,
        helo: text('a host name').optional().describe("Default: the director's host name."),
      }),
      mapping({
        type: z.literal('grpc').describe('The gRPC health service says SERVING.'),
        ...timing,
        ...target,
        service: z.string({ error: 'expected text' }).optional().describe('Default: the server.'),
        tls: flag().optional().describe('Use TLS. Default false.'),
        ...tls,
      }),
      mapping({
        type: z.literal('command').describe('A program exits with 0.'),
        ...timing,
        command: list(z.string({ error: 'expected text' }))
          .min(1, { error: 'expected a program and its arguments' })
          .describe('Program and arguments; no shell.'),
        weightFromExitCode: flag()
          .optional()
          .describe('Exit codes 2 to 255 set the weight to themselves less 2. Default false.'),
      }),
      mapping({
        type: z.literal('file').describe('The number in a file becomes the weight.'),
        ...timing,
        path: text('a file name').describe('The file to watch.'),
        means: choice(['weight', 'addition', 'failure', 'success'])
          .optional()
          .describe(
            'weight: the number is the weight, a negative one is down; addition: it is added to ' +
              'the configured weight; failure: any but 0 is down; success: 0 is down. Default weight.',
          ),
        factor: integer(-FACTOR_MAX, FACTOR_MAX)
          .optional()
          .describe('The number is multiplied by this. Default 1.'),
      }),
    ],
    { error: 'expected a mapping with a type' },
  )
  .meta({ id: 'check', description: 'How a server is probed.' });

/** A server may have so many checks. */
export const CHECKS_PER_SERVER_MAX = 64;

const checksError = 'expected a mapping with a type, or a list of such mappings';
const severalError = { error: `expected a list of 1 to ${CHECKS_PER_SERVER_MAX} checks` };

/** One check, or several: a server is up while all of them succeed. */
export const checkSchema = z
  .union(
    [
      oneCheckSchema,
      z.array(oneCheckSchema).min(1, severalError).max(CHECKS_PER_SERVER_MAX, severalError),
    ],
    { error: checksError },
  )
  .transform((value) => (Array.isArray(value) ? value : [value]))
  .describe('How servers are probed: a check, or a list of checks that all must succeed.');

/** One check of a file. */
export type CheckSection = z.output<typeof oneCheckSchema>;

/** Which fields each type of check has. */
export const CHECK_FIELDS: ReadonlyMap<string, ReadonlySet<string>> = new Map(
  oneCheckSchema.options.map(({ shape }) => [shape.type.value, new Set(Object.keys(shape))]),
);

/** The types of checks. */
export const CHECK_TYPES = oneCheckSchema.options.map((option) => option.shape.type.value);

/** A range of HTTP status codes, both ends included. */
export interface StatusRange {
  readonly first: number;
  readonly last: number;
}

function statusRanges() {
  const expected = 'status codes such as 200, 200-299 or "200-299, 301"';
  const pattern = /^\s*\d{3}(-\d{3})?(\s*,\s*\d{3}(-\d{3})?)*\s*$/;
  return scalar(expected, pattern, (value): StatusRange[] | undefined => {
    if (!pattern.test(value)) return undefined;
    const ranges = value.split(',').map((part): StatusRange => {
      const [first, last = first] = part.trim().split('-').map(Number);
      return { first: first!, last: last! };
    });
    const isValid = ranges.every(({ first, last }) => 100 <= first && first <= last && last <= 599);
    return isValid ? ranges : undefined;
  });
}

function regularExpression() {
  return z.string({ error: 'expected a regular expression' }).superRefine((value, context) => {
    try {
      new RegExp(value, 'u');
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      context.addIssue({ code: 'custom', message: `expected a regular expression (${reason})` });
    }
  });
}
