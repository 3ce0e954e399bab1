/** The demo's output: the topology as a drawing, and a table whose rows appear one by one. */
import { ADDRESSES } from '../netns/addresses.ts';
import type { HttpReport } from '../netns/client-http.ts';

export interface Row {
  readonly method: string;
  readonly service: string;
  readonly report: HttpReport;
  /** Frames the director forwarded, both ways. */
  readonly packets: number;
}

type Alignment = 'left' | 'right';
type Column = readonly [title: string, width: number, alignment: Alignment];

const COLUMNS: readonly Column[] = [
  ['method', 12, 'left'],
  ['virtual service', 17, 'left'],
  ['requests', 8, 'right'],
  ['web-1', 6, 'right'],
  ['web-2', 6, 'right'],
  ['p50', 8, 'right'],
  ['p99', 8, 'right'],
  ['packets', 8, 'right'],
];
const GAP = '  ';
const INDENT = '  ';

export function topologyDrawing(queues: number): string {
  const { wan, lan } = ADDRESSES.ipv4;
  const [first, second] = lan.servers;
  const across = `─ wan ${wan.prefix} ─┤ director ├─ lan ${lan.prefix} ─`;
  const space = ' '.repeat(across.length);
  const boxed = across.replace(/[^┤├]/g, ' ');
  const top = boxed.replace(/┤ *├/, '┌──────────┐');
  const bottom = boxed.replace(/┤ *├/, '└──────────┘');
  const driver = `AF_XDP, ${queues} queues`;
  const under = ' '.repeat(across.indexOf('┤') - 2) + driver;
  const answers = ' answers of direct-route and tunnel ';
  return `
  ┌────────┐${top}    ┌───────┐
  │ client ├${across}─┬──┤ web-1 │ ${first}
  └───▲────┘${bottom} │  └───────┘
      │     ${under.padEnd(across.length)} │  ┌───────┐
      │     ${space} ├──┤ web-2 │ ${second}
      │     ${space} │  └───────┘
      └─────${answers.padStart(answers.length + 10, '─').padEnd(across.length + 1, '─')}┘
`;
}

export function tableHead(): string {
  const titles = line(COLUMNS.map(([title]) => title));
  const rule = '─'.repeat(titles.length - INDENT.length);
  return `${emphasized(titles)}\n${INDENT}${rule}`;
}

export function tableRow({ method, service, report, packets }: Row): string {
  const { answered, servers, latency } = report;
  return line([
    method,
    service,
    String(answered),
    String(servers['web-1'] ?? 0),
    String(servers['web-2'] ?? 0),
    milliseconds(latency.p50),
    milliseconds(latency.p99),
    String(packets),
  ]);
}

/** Bold on a terminal that wants it. */
export function emphasized(text: string): string {
  const plain = !process.stdout.isTTY || process.env.NO_COLOR !== undefined;
  return plain ? text : `\u001b[1m${text}\u001b[22m`;
}

function line(cells: readonly string[]): string {
  const padded = COLUMNS.map(([, width, alignment], index) => {
    const cell = cells[index] ?? '';
    return alignment === 'left' ? cell.padEnd(width) : cell.padStart(width);
  });
  return INDENT + padded.join(GAP).trimEnd();
}

function milliseconds(value: number): string {
  return `${value.toFixed(value < 10 ? 2 : 1)} ms`;
}
