// A frame of `wvs top` as lines of text: pure. Lines are never longer than the screen is wide;
// what does not fit below is scrolled. Colours are added last, to text that already has its width.

import { formatAge, formatCount, formatShort } from '../cli/table.ts';
import type { Order, ServerRow, ServiceRow, TopModel, WorkerRow } from './model.ts';

/** What the user has chosen to see. */
export interface View {
  readonly order: Order;
  readonly showsServers: boolean;
  /** Lines of the list that are above the screen. */
  readonly scroll: number;
  readonly showsHelp: boolean;
  readonly isPaused: boolean;
  /** Why the frame is old, or nothing. */
  readonly message: string | undefined;
}

/** The screen; without a number of rows the frame is as long as it has to be. */
export interface Screen {
  readonly columns: number;
  readonly rows: number | undefined;
  readonly hasColours: boolean;
}

/** A frame, and how far its list can be scrolled. */
export interface Frame {
  readonly lines: readonly string[];
  readonly scrollMax: number;
}

type Style = 'bold' | 'reverse' | 'red' | 'dim';
const STYLES: Readonly<Record<Style, string>> = {
  bold: '\x1b[1m',
  reverse: '\x1b[7m',
  red: '\x1b[31m',
  dim: '\x1b[2m',
};
const RESET = '\x1b[0m';

const BAR_WIDTH = 16;
const WORKERS_SHOWN_MAX = 8;
const DROPS_SHOWN_MAX = 4;
const GAP = 1;

/** Draws a frame. */
export function renderTop(model: TopModel, view: View, screen: Screen): Frame {
  const paint = painter(screen.hasColours);
  const { columns } = screen;
  const fit = (line: string) => cut(line, columns);
  const head = [
    fit(headLine(model, columns)),
    paint(fit(statusLine(view)), view.message === undefined ? 'dim' : 'red'),
    ...section(workerLines(model.workers, paint), fit),
    ...section(portLines(model), fit),
    ...section(dropLines(model), fit),
  ];
  if (view.showsHelp) return { lines: [...head, ...HELP.map(fit)], scrollMax: 0 };
  const { heading, rows } = serviceLines(model, view, { columns, paint });
  const used = head.length + 1;
  const room = screen.rows === undefined ? rows.length : Math.max(0, screen.rows - used);
  const scrollMax = Math.max(0, rows.length - room);
  const first = Math.min(view.scroll, scrollMax);
  const lines = [...head, paint(heading, 'reverse'), ...rows.slice(first, first + room)];
  return { lines: screen.rows === undefined ? lines : lines.slice(0, screen.rows), scrollMax };
}

type Paint = (text: string, style: Style) => string;

function painter(hasColours: boolean): Paint {
  return (text, style) => (hasColours ? `${STYLES[style]}${text}${RESET}` : text);
}

function section(lines: readonly string[], fit: (line: string) => string): string[] {
  return lines.length === 0 ? [] : [...lines.map(fit), ''];
}

function headLine({ version, uptime, connections }: TopModel, columns: number): string {
  const { used, capacity } = connections;
  const left = `wvs ${version}  up ${formatAge(uptime)}`;
  const right = `${formatCount(used)} of ${formatCount(capacity)} connections`;
  const gap = columns - left.length - right.length;
  return gap >= 2 ? `${left}${' '.repeat(gap)}${right}` : `${left}  ${right}`;
}

function statusLine({ order, isPaused, message }: View): string {
  if (message !== undefined) return clean(message);
  const by = `sorted by ${order.by}${order.isReversed ? ', reversed' : ''}`;
  return `${isPaused ? 'paused, ' : ''}${by}   ? helps, q quits`;
}

function workerLines(workers: readonly WorkerRow[], paint: Paint): string[] {
  const lines = [
    `WORKER STATE    BUSY${' '.repeat(BAR_WIDTH + 3)}PKT/BURST   RX/S   TX/S DROP/S RESTARTS`,
  ];
  for (const worker of workers.slice(0, WORKERS_SHOWN_MAX)) {
    const { id, state, busy, packetsPerBurst, received, transmitted, dropped, restarts } = worker;
    const filled = Math.round(busy * BAR_WIDTH);
    const bar = `[${'|'.repeat(filled)}${' '.repeat(BAR_WIDTH - filled)}]`;
    const share = `${Math.round(busy * 100)}%`.padStart(4);
    const name = state.padEnd(8);
    const numbers = [received, transmitted, dropped].map((value) => perSecond(value).padStart(6));
    lines.push(
      `${String(id).padStart(6)} ${state === 'running' ? name : paint(name, 'red')} ` +
        `${bar} ${share}${packetsPerBurst.toFixed(1).padStart(10)} ${numbers.join(' ')} ` +
        String(restarts).padStart(8),
    );
  }
  const more = workers.length - WORKERS_SHOWN_MAX;
  if (more > 0) lines.push(`   ... ${more} more workers`);
  return lines;
}

function perSecond(value: number | undefined): string {
  return value === undefined ? '-' : formatShort(value);
}

function portLines({ ports }: TopModel): string[] {
  const rows = ports.map(({ name, link, mode, receive, transmit }) => {
    const numbers = [
      formatShort(receive.packetsPerSecond),
      formatShort(receive.bytesPerSecond * 8),
      formatShort(transmit.packetsPerSecond),
      formatShort(transmit.bytesPerSecond * 8),
    ].map((text, index) => text.padStart(index % 2 === 0 ? 7 : 9));
    return `${cell(clean(name), 15)} ${link.padEnd(5)} ${cell(mode, 18)}${numbers.join(' ')}`;
  });
  const title = `${cell('PORT', 15)} LINK  ${cell('MODE', 18)}`;
  return [`${title}   RX/S  RX BIT/S    TX/S  TX BIT/S`, ...rows];
}

function dropLines({ drops }: TopModel): string[] {
  if (drops.length === 0) return [];
  const rows = drops.slice(0, DROPS_SHOWN_MAX).map(({ reason, perSecond: now, total }) => {
    return `${cell(reason, 45)}${perSecond(now).padStart(8)} ${formatCount(total).padStart(15)}`;
  });
  const more = drops.length - DROPS_SHOWN_MAX;
  const rest = more > 0 ? [`... ${more} more reasons`] : [];
  return [`${cell('DROPPED BECAUSE OF', 45)}   DROP/S           TOTAL`, ...rows, ...rest];
}

interface ListColumn {
  readonly heading: string;
  readonly width: number;
  /** Columns of higher ranks leave first when the screen is narrow. */
  readonly rank: number;
  readonly service: (row: ServiceRow) => string;
  readonly server: (row: ServerRow) => string;
  readonly isLeft?: boolean;
}

const LIST_COLUMNS: readonly ListColumn[] = [
  {
    heading: 'HEALTH',
    width: 9,
    rank: 0,
    isLeft: true,
    service: ({ serversUp, servers }) => `${serversUp}/${servers.length} up`,
    server: ({ health }) => health,
  },
  {
    heading: 'HOW',
    width: 12,
    rank: 9,
    isLeft: true,
    service: ({ scheduler }) => scheduler,
    server: ({ forwarding }) => forwarding,
  },
  {
    heading: 'WGT',
    width: 4,
    rank: 5,
    service: () => '',
    server: ({ weight }) => formatShort(weight),
  },
  both('ACTIVE', 6, 1, ({ active }) => formatShort(active)),
  both('INACT', 6, 6, ({ inactive }) => formatShort(inactive)),
  both('CONN/S', 6, 2, ({ connections }) => formatShort(connections)),
  both('IN/S', 5, 3, ({ packetsIn }) => formatShort(packetsIn)),
  both('OUT/S', 5, 7, ({ packetsOut }) => formatShort(packetsOut)),
  both('IN BIT', 6, 4, ({ bitsIn }) => formatShort(bitsIn)),
  both('OUT BIT', 7, 8, ({ bitsOut }) => formatShort(bitsOut)),
];

function both(
  heading: string,
  width: number,
  rank: number,
  show: (row: ServiceRow | ServerRow) => string,
): ListColumn {
  return { heading, width, rank, service: show, server: show };
}

/** Names get what the columns leave; below this a column goes. */
const NAME_WIDTH_MIN = 22;

/** Services and their servers. */
function serviceLines(
  model: TopModel,
  view: View,
  { columns, paint }: { readonly columns: number; readonly paint: Paint },
): { readonly heading: string; readonly rows: readonly string[] } {
  const shown = fittingColumns(columns);
  const nameWidth = columns - shown.reduce((sum, { width }) => sum + width + GAP, 0);
  const line = (name: string, cells: readonly string[]) => {
    const padded = cells.map((text, index) => {
      const { width, isLeft } = shown[index]!;
      return isLeft ? cell(text, width) : cut(text, width).padStart(width);
    });
    const title = cutInside(name, nameWidth).padEnd(nameWidth);
    return cut([title, ...padded].join(' '), columns);
  };
  const rows = model.services.flatMap((service) => {
    const head = line(
      clean(service.name),
      shown.map((column) => column.service(service)),
    );
    const isOut = service.servers.length > 0 && service.serversUp === 0;
    const first = paint(head, isOut ? 'red' : 'bold');
    if (!view.showsServers) return [first];
    const servers = service.servers.map((server) => {
      const text = line(
        `  ${clean(server.name)}`,
        shown.map((column) => column.server(server)),
      );
      return server.isDown ? paint(text, 'red') : text;
    });
    return [first, ...servers];
  });
  const heading = line(
    view.showsServers ? 'SERVICE / SERVER' : 'SERVICE',
    shown.map(({ heading: title }) => title),
  );
  return { heading, rows: rows.length === 0 ? ['no services'] : rows };
}

/** As many columns as leave room for names, the most telling ones. */
function fittingColumns(columns: number): readonly ListColumn[] {
  const byRank = LIST_COLUMNS.toSorted((a, b) => a.rank - b.rank);
  let left = columns - NAME_WIDTH_MIN;
  const kept = new Set<ListColumn>();
  for (const column of byRank) {
    if (column.width + GAP > left) break;
    left -= column.width + GAP;
    kept.add(column);
  }
  return LIST_COLUMNS.filter((column) => kept.has(column));
}

const HELP: readonly string[] = [
  'q           quit',
  'c a p b n   sort by connections per second, active connections, packets, bits, name;',
  '            the same key again: the other way round',
  's           servers on or off',
  'up, down    scroll; page up and page down, home and end likewise',
  'space       pause and go on',
  '+ -         look more or less often',
  '?           this help on or off',
];

function cell(text: string, width: number): string {
  return cut(text, width).padEnd(width);
}

/** The text in so many columns, the end of what is too long replaced by a mark. */
function cut(text: string, width: number): string {
  // Counting colours as text would cut a line too early; those that have any fit already.
  if (text.length <= width || text.includes('\x1b')) return text;
  return width <= 1 ? text.slice(0, Math.max(0, width)) : `${text.slice(0, width - 1)}~`;
}

/** As cut(), but in the middle: addresses differ at their ends. */
function cutInside(text: string, width: number): string {
  if (text.length <= width || width < 5) return cut(text, width);
  const tail = (width - 1) >>> 1;
  return `${text.slice(0, width - 1 - tail)}~${text.slice(-tail)}`;
}

/** Names come from configurations: what would move the cursor is not shown. */
function clean(text: string): string {
  return text.replace(/\p{Cc}|\p{Cf}/gu, '?');
}
