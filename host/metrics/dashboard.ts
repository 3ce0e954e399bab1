// The Grafana dashboard that ships with the product, made from a short description of its panels.
// Run as a program, `node dist/host/metrics/dashboard.js FILE`, this writes it.

import { writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

/** One curve, or one family of them: an expression and what each is called. */
type Query = readonly [expression: string, legend: string];

interface Panel {
  readonly title: string;
  readonly kind?: 'timeseries' | 'stat' | 'table';
  /** Grafana's name of a unit. */
  readonly unit?: string;
  readonly queries: readonly Query[];
  /** Of 24 columns. */
  readonly width?: number;
}

interface Row {
  readonly title: string;
  readonly height: number;
  readonly panels: readonly Panel[];
}

/** Every expression is about the chosen directors. */
const AT = 'instance=~"$instance"';
const OF = `${AT}, service=~"$service"`;
const RATE = '[$__rate_interval]';

const ROWS: readonly Row[] = [
  {
    title: 'Director',
    height: 4,
    panels: [
      { title: 'Ready', kind: 'stat', queries: [[`wvs_ready{${AT}}`, '{{instance}}']] },
      {
        title: 'Connections',
        kind: 'stat',
        queries: [[`wvs_connections{${AT}}`, '{{instance}}']],
      },
      {
        title: 'Table full',
        kind: 'stat',
        unit: 'percentunit',
        queries: [[`wvs_connections{${AT}} / wvs_connections_limit{${AT}}`, '{{instance}}']],
      },
      {
        title: 'New connections',
        kind: 'stat',
        unit: 'cps',
        queries: [[`sum(rate(wvs_connections_created_total{${AT}}${RATE}))`, '']],
      },
      {
        title: 'Drops',
        kind: 'stat',
        unit: 'pps',
        queries: [[`sum(rate(wvs_packets_dropped_total{${AT}}${RATE}))`, '']],
      },
      {
        title: 'Servers down',
        kind: 'stat',
        queries: [[`sum(wvs_service_servers{${AT}, health="down"}) or vector(0)`, '']],
      },
    ],
  },
  {
    title: 'Workers',
    height: 8,
    panels: [
      {
        title: 'Busy share',
        unit: 'percentunit',
        queries: [[`1 - rate(wvs_worker_asleep_seconds_total{${AT}}${RATE})`, 'worker {{worker}}']],
      },
      {
        title: 'Packets per burst',
        queries: [
          [
            `rate(wvs_worker_burst_packets_total{${AT}}${RATE}) / ` +
              `rate(wvs_worker_bursts_total{${AT}}${RATE})`,
            'worker {{worker}}',
          ],
        ],
      },
      {
        title: 'Packets',
        unit: 'pps',
        queries: [
          [`sum(rate(wvs_packets_received_total{${AT}}${RATE}))`, 'received'],
          [`sum(rate(wvs_packets_transmitted_total{${AT}}${RATE}))`, 'sent'],
          [`sum(rate(wvs_packets_dropped_total{${AT}}${RATE}))`, 'dropped'],
        ],
      },
    ],
  },
  {
    title: 'Drops and ports',
    height: 8,
    panels: [
      {
        title: 'Drops by reason',
        unit: 'pps',
        queries: [
          [`sum by (reason) (rate(wvs_packets_dropped_total{${AT}}${RATE})) > 0`, '{{reason}}'],
        ],
      },
      {
        title: 'Port traffic',
        unit: 'bps',
        queries: [
          [`8 * rate(wvs_port_received_bytes_total{${AT}}${RATE})`, '{{port}} in'],
          [`-8 * rate(wvs_port_transmitted_bytes_total{${AT}}${RATE})`, '{{port}} out'],
        ],
      },
      {
        title: 'Steering',
        unit: 'pps',
        queries: [
          [`sum by (outcome) (rate(wvs_steering_packets_total{${AT}}${RATE})) > 0`, '{{outcome}}'],
        ],
      },
    ],
  },
  {
    title: 'Services',
    height: 8,
    panels: [
      {
        title: 'New connections',
        unit: 'cps',
        queries: [
          [`sum by (service) (rate(wvs_service_connections_total{${OF}}${RATE}))`, '{{service}}'],
        ],
      },
      {
        title: 'From clients',
        unit: 'bps',
        queries: [
          [
            `8 * sum by (service) (rate(wvs_service_incoming_bytes_total{${OF}}${RATE}))`,
            '{{service}}',
          ],
        ],
      },
      {
        title: 'To clients (nat, full-nat)',
        unit: 'bps',
        queries: [
          [
            `8 * sum by (service) (rate(wvs_service_outgoing_bytes_total{${OF}}${RATE}))`,
            '{{service}}',
          ],
        ],
      },
    ],
  },
  {
    title: 'Servers',
    height: 8,
    panels: [
      {
        title: 'Active connections',
        queries: [[`wvs_server_active_connections{${OF}}`, '{{server}} of {{service}}']],
      },
      {
        title: 'New connections',
        unit: 'cps',
        queries: [
          [`rate(wvs_server_connections_total{${OF}}${RATE})`, '{{server}} of {{service}}'],
        ],
      },
      {
        title: 'Up',
        queries: [[`wvs_server_up{${OF}}`, '{{server}} of {{service}}']],
      },
    ],
  },
];

const COLUMNS = 24;
const ROW_TITLE_HEIGHT = 1;

/** The dashboard as an object. */
export function grafanaDashboard(): object {
  return {
    title: 'WVS',
    uid: 'wvs-director',
    description: 'Directors of the WebAssembly Virtual Server.',
    tags: ['wvs', 'load balancing'],
    schemaVersion: 39,
    editable: true,
    refresh: '10s',
    time: { from: 'now-1h', to: 'now' },
    templating: { list: VARIABLES },
    panels: layOut(),
  };
}

const DATASOURCE = { type: 'prometheus', uid: '$datasource' };

const VARIABLES = [
  { name: 'datasource', type: 'datasource', query: 'prometheus', label: 'Data source' },
  variable('instance', 'Director', 'label_values(wvs_ready, instance)'),
  variable('service', 'Service', 'label_values(wvs_service_info{instance=~"$instance"}, service)'),
];

function variable(name: string, label: string, query: string): object {
  return {
    name,
    label,
    type: 'query',
    datasource: DATASOURCE,
    query: { query, refId: name },
    refresh: 2,
    multi: true,
    includeAll: true,
    current: { text: 'All', value: '$__all' },
  };
}

/** Rows below each other, panels of a row beside each other. */
function layOut(): object[] {
  const panels: object[] = [];
  let y = 0;
  let id = 1;
  for (const row of ROWS) {
    const place = { h: ROW_TITLE_HEIGHT, w: COLUMNS, x: 0, y };
    panels.push({ id: id++, type: 'row', title: row.title, collapsed: false, gridPos: place });
    y += ROW_TITLE_HEIGHT;
    const w = Math.floor(COLUMNS / row.panels.length);
    for (const [index, panel] of row.panels.entries()) {
      panels.push(describePanel(panel, id++, { h: row.height, w, x: index * w, y }));
    }
    y += row.height;
  }
  return panels;
}

function describePanel({ title, kind, unit, queries }: Panel, id: number, gridPos: object): object {
  return {
    id,
    type: kind ?? 'timeseries',
    title,
    datasource: DATASOURCE,
    gridPos,
    fieldConfig: {
      defaults: { unit: unit ?? 'short', min: unit === 'bps' ? null : 0 },
      overrides: [],
    },
    options: kind === 'stat' ? {} : { tooltip: { mode: 'multi', sort: 'desc' } },
    targets: queries.map(([expr, legendFormat], index) => ({
      refId: String.fromCharCode('A'.charCodeAt(0) + index),
      datasource: DATASOURCE,
      expr,
      legendFormat,
    })),
  };
}

/** The dashboard as it ships. */
export function dashboardText(): string {
  return `${JSON.stringify(grafanaDashboard(), undefined, 2)}\n`;
}

const isProgram = import.meta.url === pathToFileURL(process.argv[1] ?? '').href;
if (isProgram) {
  writeFileSync(process.argv[2] ?? 'host/metrics/grafana-dashboard.json', dashboardText());
}
