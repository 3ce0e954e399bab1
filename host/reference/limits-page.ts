// host/docs/limits.md, from the limits of the data plane and of the configuration, and from the plan
// of linear memory.

import {
  CHAIN_HEAD_SIZE,
  CONNECTION_COLD_SIZE,
  CONNECTION_HOT_SIZE,
  CONNECTION_WIDE_SIZE,
} from '../../assembly/shared/layout.ts';
import * as limits from '../../assembly/shared/limits.ts';
import { formatCount } from '../cli/table.ts';
import {
  CONNECTIONS_MAX,
  CONNECTIONS_MIN,
  SERVERS_PER_SERVICE_MAX,
  SERVICES_MAX,
} from '../config/schema.ts';
import { MARKED_RANGES_MAX } from '../config/validate-marks.ts';
import { MTU_MAX } from '../doctor/checks-ports.ts';
import {
  DEFAULT_SIZES,
  type MemorySizes,
  planMemory,
  roundUp,
  WASM_PAGE_SIZE,
} from '../memory/memory-map.ts';
import { markdownTable } from './table.ts';

type LimitName = keyof typeof limits;

/** The memory table's unit in MiB: finer, it would change with every field of a record. */
const MEMORY_STEP = 50;

const VALUES = new Map<string, number>(Object.entries(limits));

/** What each limit of the data plane limits; sizes that nobody meets are left out. */
export const LIMIT_SENTENCES: Readonly<Partial<Record<LimitName, string>>> = {
  WORKERS_MAX: 'Worker threads.',
  PORTS_MAX: 'Ports.',
  LINKS_MAX: 'Queues that one worker serves, all ports together.',
  BURST_MAX: 'Packets handled in one turn.',
  FRAME_SIZE: 'Bytes of a frame in memory.',
  FRAME_HEADROOM: 'Bytes before a frame, for the outer headers of tunnels.',
  NEXT_HOPS_MAX: 'Neighbours that can be known at once, all ports together.',
  ROUTE_SLOTS: 'Slots of the routing table; half of them can be used.',
  LOCAL_SLOTS: 'Slots for own addresses, those of services included; half of them can be used.',
  MARK_RULES_MAX: 'Firewall mark rules in the tables.',
  MARK_PORTS_MAX:
    'Port ranges of a rule there; the configuration cuts longer lists into several rules.',
  LOCAL_POOL_MAX: "Addresses of the full-nat pool: the director's and those of services.",
  LOCAL_END_TRIES_MAX:
    'Ends of the full-nat pool tried for one new connection; the next one goes on behind them.',
  FRAGMENT_QUEUES_MAX: 'Datagrams whose fragments a worker can follow at once.',
  FRAGMENT_PARTS_MAX: 'Fragments of one datagram.',
  EXTENSION_HEADERS_MAX: 'IPv6 extension headers that are walked.',
  TIMERS_PER_LINK_MAX:
    'Timers of connections run in one turn for each port of a worker; more are left for the next one.',
  TICKS_PER_SECOND:
    'Timer ticks of a second; timeouts are rounded up as in a kernel with CONFIG_HZ=100.',
  HASH_TABLE_SLOTS: 'Entries of the tables of sh and dh.',
  MAGLEV_SLOTS: "Entries of mh's table.",
  LOCALITY_ENTRIES_MAX: 'Addresses in the caches of lblc and lblcr, all services together.',
  SIDE_RECORDS_MAX: 'FTP connections and templates of the engine sip at once.',
};

/** Limits that only the timer wheel's shape sees. */
export const LEFT_OUT: ReadonlySet<string> = new Set([
  'FRAME_SHIFT',
  'WHEEL_LEVELS',
  'WHEEL_SLOTS',
  'WHEEL_STEP_SHIFT',
]);

const HEAD = `# Limits

Everything a director needs is reserved when it starts; nothing grows later. What no longer fits is refused, and
counted or reported, and what is there goes on.
`;

const CONFIGURATION = `## Of the configuration

All sizes follow from the configuration at the start. Room is left for services and servers to double by reloads and
ipvsadm, and for at least ${formatCount(DEFAULT_SIZES.services)} services and ${formatCount(DEFAULT_SIZES.destinations)} servers; what is beyond needs a restart.
`;

const MEMORY = `## Memory

The data plane has one linear memory of at most 4 GiB, for that is what 32-bit addresses reach. Only what is used takes
real memory: a director for a million connections that has ten thousand takes little of the table. (\`wvs doctor\` says
whether a full table would fit.)
`;

/** The page. */
export function limitsPage(): string {
  return [HEAD, CONFIGURATION, `${configurationTable()}\n`, MEMORY, memoryText(), dataPlane()].join(
    '\n',
  );
}

function configurationTable(): string {
  const rows = [
    [
      'connections and templates',
      `${formatCount(CONNECTIONS_MIN)} to ${formatCount(CONNECTIONS_MAX)}`,
    ],
    ['services', formatCount(SERVICES_MAX)],
    ['servers of a service', formatCount(SERVERS_PER_SERVICE_MAX)],
    ['port ranges of `marks` for one destination', String(MARKED_RANGES_MAX)],
    ['ports', String(limits.PORTS_MAX)],
    ['workers', String(limits.WORKERS_MAX)],
    ['MTU of a port', `${formatCount(MTU_MAX)} bytes`],
  ];
  return markdownTable(['what', 'least and most'], rows);
}

function memoryText(): string {
  const perConnection = CONNECTION_HOT_SIZE + CONNECTION_COLD_SIZE;
  const rows = [
    [
      'a connection or template',
      `${perConnection}, and ${CHAIN_HEAD_SIZE} to ${2 * CHAIN_HEAD_SIZE} of index`,
    ],
    ['one of IPv6', `${CONNECTION_WIDE_SIZE} more, reserved for every entry`],
    ['a frame', formatCount(limits.FRAME_SIZE)],
  ];
  const sizes = [100_000, 1_000_000, 4_000_000, CONNECTIONS_MAX];
  const plans = [1, 4, 16].map((workers) => [
    String(workers),
    ...sizes.map((connections) => mebibytes({ connections, workers })),
  ]);
  const heads = sizes.map((connections) => `${formatCount(connections)}:`);
  return `${markdownTable(['of each', 'bytes'], rows)}

MiB reserved, rounded up to ${MEMORY_STEP}, by workers (with two queues each) and connections:

${markdownTable(['workers:', ...heads], plans)}
`;
}

/** As `wvs run` chooses them for two links a worker. */
function sizesOf({ connections, workers }: Pick<MemorySizes, 'connections' | 'workers'>) {
  return {
    ...DEFAULT_SIZES,
    connections,
    workers,
    framesPerWorker: 2 * 2048 * DEFAULT_SIZES.links,
  };
}

function mebibytes(choice: Pick<MemorySizes, 'connections' | 'workers'>): string {
  const { pages } = planMemory(sizesOf(choice));
  return formatCount(roundUp((pages * WASM_PAGE_SIZE) / 2 ** 20, MEMORY_STEP));
}

function dataPlane(): string {
  const rows = Object.entries(LIMIT_SENTENCES).map(([name, sentence]) => [
    sentence,
    formatCount(VALUES.get(name) ?? 0),
  ]);
  return `## Of the data plane

Compiled in; another value is another build (assembly/shared/limits.ts).

${markdownTable(['what', 'is:'], rows)}
`;
}
