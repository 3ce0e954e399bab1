import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { DROP_FIRST } from '../../../../assembly/shared/counters.ts';
import { dashboardText } from '../../../../host/metrics/dashboard.ts';
import {
  dropReason,
  METRICS,
  SERVERS_SHOWN_MAX,
  type Snapshot,
} from '../../../../host/metrics/definitions.ts';
import { MetricsRegistry } from '../../../../host/metrics/registry.ts';
import { COUNTER_NAMES } from '../../../../host/stats/counter-names.ts';
import { STATUS } from '../control/support.ts';
import { createSnapshot } from './support.ts';

async function scrape(snapshot: Snapshot): Promise<readonly string[]> {
  const text = await new MetricsRegistry().render(snapshot);
  return text.split('\n');
}

const shipped = (name: string) =>
  readFileSync(new URL(`../../../../host/metrics/${name}`, import.meta.url), 'utf8');

describe('names', () => {
  test('follow the conventions of Prometheus', () => {
    for (const { name, type, help, labels } of METRICS) {
      expect(name).toMatch(/^wvs_[a-z][a-z0-9_]*$/);
      expect(name.endsWith('_total'), name).toBe(type === 'counter');
      expect(help, name).toMatch(/^[A-Z].*\.$/);
      for (const label of labels) expect(label).toMatch(/^[a-z]+$/);
    }
    expect(new Set(METRICS.map(({ name }) => name)).size).toBe(METRICS.length);
  });

  test('the page of the docs has each with its labels and meaning', () => {
    const page = readFileSync(new URL('../../../../host/docs/metrics.md', import.meta.url), 'utf8');
    for (const { name, labels, help } of METRICS) {
      expect(page).toContain(`| \`${name}\` | ${labels.join(', ')} | ${help} |`);
    }
    const names = METRICS.map(({ name }) => name);
    for (const { name } of used(page)) expect(names).toContain(name);
  });

  test('every counter of the data plane is in one', () => {
    const counters = COUNTER_NAMES.map((_, index) => 1_000_000 + index);
    const seen = new Set<number>();
    const worker = { id: 0, counters, gauges: new Float64Array(8) };
    const snapshot = createSnapshot({ workers: [worker] });
    for (const { read } of METRICS) read(snapshot, (value) => seen.add(value));
    const missing = COUNTER_NAMES.filter((name, index) => {
      return index > 0 && name !== '' && !seen.has(1_000_000 + index);
    });
    expect(missing).toEqual([]);
  });

  test('reasons are the names of drops', () => {
    expect(dropReason(DROP_FIRST)).toBe('frame-too-short');
  });
});

describe('a scrape', () => {
  test('has every metric with its labels and values', async () => {
    const lines = await scrape(createSnapshot());
    for (const line of [
      'wvs_build_info{version="0.1.0"} 1',
      'wvs_ready 1',
      'wvs_config_reloads_total{result="refused"} 1',
      'wvs_connections 1234',
      'wvs_connections_limit 1000000',
      'wvs_steering_packets_total{outcome="steered-virtual-service"} 3',
      'wvs_worker_up{worker="0"} 1',
      'wvs_worker_restarts_total{worker="0"} 1',
      'wvs_worker_asleep_seconds_total{worker="0"} 5.5',
      'wvs_worker_bursts_total{worker="0"} 20',
      'wvs_packets_received_total{worker="0"} 1',
      'wvs_packets_dropped_total{worker="0",reason="no-route-to-destination"} 7',
      'wvs_port_up{port="wan"} 1',
      'wvs_port_received_bytes_total{port="wan"} 500',
      'wvs_service_info{service="web",listen="tcp 192.0.2.80:80",scheduler="wrr",source="file"} 1',
      'wvs_service_servers{service="web",health="down"} 1',
      'wvs_service_connections_total{service="web"} 1234',
      'wvs_server_up{service="web",server="10.0.0.12:80"} 0',
      'wvs_server_weight{service="web",server="10.0.0.11:80"} 3',
      'wvs_server_active_connections{service="web",server="10.0.0.11:80"} 1000',
      'wvs_server_incoming_bytes_total{service="web",server="10.0.0.11:80"} 1000',
      'wvs_series_omitted 0',
    ]) {
      expect(lines).toContain(line);
    }
    for (const { name, type } of METRICS) expect(lines).toContain(`# TYPE ${name} ${type}`);
  });

  test('what is gone leaves no series behind', async () => {
    const registry = new MetricsRegistry();
    await registry.render(createSnapshot());
    const text = await registry.render(createSnapshot({ status: { ...STATUS, services: [] } }));
    expect(text).not.toContain('10.0.0.11');
    expect(text).toContain('wvs_ready 1');
  });

  test('values are those of the moment, not sums of scrapes', async () => {
    const registry = new MetricsRegistry();
    await registry.render(createSnapshot());
    const text = await registry.render(createSnapshot());
    expect(text).toContain('wvs_service_connections_total{service="web"} 1234\n');
  });

  test('two services of one name are told apart by their keys', async () => {
    const [web] = STATUS.services;
    const services = [web!, { ...web!, key: 'tcp 192.0.2.81:80' }];
    const lines = await scrape(createSnapshot({ status: { ...STATUS, services } }));
    expect(lines).toContain('wvs_service_connections_total{service="web tcp 192.0.2.81:80"} 1234');
  });

  test('too many servers: the first are shown, the others counted', async () => {
    const [web] = STATUS.services;
    const servers = Array.from({ length: SERVERS_SHOWN_MAX + 5 }, (_, index) => ({
      ...web!.servers[0]!,
      key: `10.0.${index >>> 8}.${index & 255}:80`,
    }));
    const status = { ...STATUS, services: [{ ...web!, servers }] };
    const lines = await scrape(createSnapshot({ status }));
    const shown = lines.filter((line) => line.startsWith('wvs_server_up{'));
    expect(shown.length).toBe(SERVERS_SHOWN_MAX);
    expect(lines).toContain('wvs_series_omitted 5');
  });

  test('a value that cannot be does not end it', async () => {
    const snapshot = createSnapshot({ reloads: { taken: -1, refused: 0 } });
    expect(await scrape(snapshot)).toContain('wvs_config_reloads_total{result="taken"} 0');
  });
});

/** Metric names and the labels each is asked for in an expression. */
function used(expression: string): { name: string; labels: string[] }[] {
  return [...expression.matchAll(/\b(wvs_\w+)(?:\{([^}]*)\})?/g)].map(
    ([, name, selector = '']) => ({
      name: name!,
      labels: [...selector.matchAll(/(\w+)=~?"/g)].map(([, label]) => label!),
    }),
  );
}

function checkExpression(expression: string): void {
  const found = used(expression);
  expect(found.length, expression).toBeGreaterThan(0);
  for (const { name, labels } of found) {
    const definition = METRICS.find((metric) => metric.name === name);
    expect(definition, `${name} in ${expression}`).toBeDefined();
    // Prometheus adds the director's address by itself.
    expect([...definition!.labels, 'instance']).toEqual(expect.arrayContaining(labels));
    // A counter means nothing without a rate.
    const isCounter = definition!.type === 'counter';
    const isRated = new RegExp(`(rate|increase)\\(${name}`).test(expression);
    expect(isRated, `${name} in ${expression}`).toBe(isCounter);
  }
  for (const [open, close] of ['()', '{}', '[]']) {
    expect(expression.split(open!).length, expression).toBe(expression.split(close!).length);
  }
}

describe('the Grafana dashboard', () => {
  const dashboard = JSON.parse(shipped('grafana-dashboard.json')) as {
    panels: { title: string; gridPos: { x: number; w: number }; targets?: { expr: string }[] }[];
    templating: { list: { query?: unknown }[] };
  };

  test('that ships is the one the description gives', () => {
    expect(
      shipped('grafana-dashboard.json'),
      'out of date: npm run build && node dist/host/metrics/dashboard.js',
    ).toBe(dashboardText());
  });

  test('asks for metrics and labels that there are', () => {
    const targets = dashboard.panels.flatMap((panel) => panel.targets ?? []);
    expect(targets.length).toBeGreaterThan(20);
    for (const { expr } of targets) checkExpression(expr);
    for (const { query } of dashboard.templating.list) {
      for (const { name } of used(JSON.stringify(query))) {
        expect(METRICS.map((metric) => metric.name)).toContain(name);
      }
    }
  });

  test('lays its panels out within 24 columns', () => {
    for (const { gridPos, title } of dashboard.panels) {
      expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24);
    }
  });
});

describe('the alert rules', () => {
  interface Rule {
    readonly alert: string;
    readonly expr: string;
    readonly labels: { readonly severity: string };
    readonly annotations: { readonly summary: string; readonly description: string };
  }
  const { groups } = parse(shipped('alerts.yaml')) as { groups: { rules: Rule[] }[] };
  const rules = groups.flatMap((group) => group.rules);

  test.each(rules.map((rule) => [rule.alert, rule] as const))('%s', (alert, rule) => {
    expect(alert).toMatch(/^Wvs[A-Z]\w+$/);
    checkExpression(rule.expr);
    expect(['warning', 'critical']).toContain(rule.labels.severity);
    expect(rule.annotations.summary).not.toBe('');
    expect(rule.annotations.description).toMatch(/\.$/);
  });

  test('reasons they name are reasons that there are', () => {
    const reasons = COUNTER_NAMES.map((_, index) => dropReason(index));
    for (const { expr } of rules) {
      for (const [, list] of expr.matchAll(/reason=~?"([^"]+)"/g)) {
        expect(reasons).toEqual(expect.arrayContaining(list!.split('|')));
      }
    }
  });
});
