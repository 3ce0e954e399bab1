// Results as pictures: SVG, made by vega without a canvas. Each picture needs certain results; without
// them it is not made.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Scale, Spec } from 'vega';
import type { Report, Result } from './result.ts';

/** A bar: whose, what of, and how far its rounds lay apart. */
interface Bar {
  readonly by: string;
  readonly group: string;
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** A point of a line. */
interface Point {
  readonly line: string;
  readonly connections: number;
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

interface Plot {
  readonly file: string;
  /** Undefined: the results are not there. */
  draw(results: readonly Result[]): Spec | undefined;
}

const WIDTH = 520;
const HEIGHT = 260;
/** Told apart by people who see few colours, too (Okabe and Ito). */
const COLOURS: Readonly<Record<string, string>> = {
  wvs: '#0072b2',
  twin: '#999999',
  direct: '#bbbbbb',
  'plain C': '#999999',
  nftables: '#e69f00',
  haproxy: '#009e73',
  nginx: '#cc79a7',
};

/**
 * Writes every plot that the results allow.
 * @returns the files written
 */
export async function writePlots(directory: string, report: Report): Promise<readonly string[]> {
  const drawn = PLOTS.map(({ file, draw }) => ({ file, spec: draw(report.results) })).filter(
    (plot): plot is { file: string; spec: Spec } => plot.spec !== undefined,
  );
  if (drawn.length === 0) return [];
  // Loaded only when there is something to draw: it takes half a second.
  const vega = await import('vega');
  return await Promise.all(
    drawn.map(async ({ file, spec }) => {
      const path = join(directory, file);
      const view = new vega.View(vega.parse(withCaption(spec, report)), { renderer: 'none' });
      writeFileSync(path, `${await view.toSVG()}\n`);
      view.finalize();
      return path;
    }),
  );
}

/** Machine, commit and date belong to every number. */
function withCaption(spec: Spec, { machine, commit, date, command }: Report): Spec {
  const revision = commit.replace(/^([0-9a-f]{10})[0-9a-f]*/, '$1');
  const { cpu, cores, kernel, node } = machine;
  const machineText = `${cpu}, ${cores} processors, Linux ${kernel}, Node ${node}`;
  const subtitle = [machineText, `${command}, ${revision}, ${date.slice(0, 10)}`];
  const { text } = spec.title as { text: string };
  return {
    ...spec,
    background: '#ffffff',
    padding: 12,
    title: {
      text,
      subtitle,
      anchor: 'start',
      frame: 'group',
      offset: 14,
      fontSize: 14,
      subtitleFontSize: 10,
      subtitleColor: '#666666',
    },
    config: { axis: { grid: true, gridColor: '#eeeeee', domainColor: '#888888' } },
  };
}

const HIT_PATH: Plot = {
  file: 'hit-path.svg',
  draw(results) {
    const found = results.filter(({ name, params }) => {
      return name === 'hit-path' && params.direction === 'in';
    });
    const points = found.flatMap((result): Point[] => {
      const { value, spread, against } = result;
      const connections = Number(result.params.connections);
      const [low, high] = spread;
      const wvs = { line: 'wvs', connections, value, low, high };
      const { twin } = against;
      if (twin === undefined) return [wvs];
      return [
        wvs,
        { line: 'twin', connections, value: twin.value, low: twin.value, high: twin.value },
      ];
    });
    return found.length < 2 ? undefined : drawLines(points);
  },
};

const PACKETS: Plot = {
  file: 'packets.svg',
  draw(results) {
    const bars = barsOf(results, 'packets', 'packets/s', ({ ways }) => {
      return ways === 1 ? 'one way' : 'both ways';
    });
    return drawBars(bars, {
      title: 'Packets a second on veth, 60 bytes',
      axis: 'packets/s',
      format: '~s',
    });
  },
};

const HTTP: Plot = {
  file: 'http.svg',
  draw(results) {
    const stay = barsOf(results, 'http', 'requests/s', () => 'connections stay');
    const anew = barsOf(results, 'http', 'connections/s', () => 'a connection each');
    return drawBars([...stay, ...anew], {
      title: 'HTTP requests a second, 64 connections',
      axis: 'requests/s',
      format: '~s',
    });
  },
};

const LATENCY: Plot = {
  file: 'http-latency.svg',
  draw(results) {
    const found = results.filter(({ params }) => {
      return params.load === 'half' && params.connections === 'stay';
    });
    const bars = barsOf(found, 'http-latency', 'us', ({ percentile }) => String(percentile));
    return drawBars(bars, {
      title: 'Time to an HTTP answer at half the peak, connections stay',
      axis: 'microseconds',
      format: '~s',
    });
  },
};

const PLOTS: readonly Plot[] = [HIT_PATH, PACKETS, HTTP, LATENCY];

function barsOf(
  results: readonly Result[],
  name: string,
  unit: string,
  groupOf: (params: Result['params']) => string,
): readonly Bar[] {
  return results
    .filter((result) => result.name === name && result.unit === unit)
    .map(({ params, value, spread: [low, high] }) => {
      return { by: String(params.by), group: groupOf(params), value, low, high };
    });
}

function coloursOf(names: readonly string[]): Scale {
  const range = names.map((name) => COLOURS[name] ?? '#000000');
  return { name: 'colour', type: 'ordinal', domain: [...names], range };
}

function drawLines(points: readonly Point[]): Spec {
  const names = [...new Set(points.map(({ line }) => line))];
  return {
    title: { text: 'ns a packet of a known connection, by number of connections' },
    width: WIDTH,
    height: HEIGHT,
    data: [{ name: 'points', values: [...points] }],
    scales: [
      {
        name: 'x',
        type: 'log',
        domain: { data: 'points', field: 'connections' },
        range: 'width',
      },
      {
        name: 'y',
        type: 'linear',
        domain: { data: 'points', field: 'high' },
        range: 'height',
        zero: true,
        nice: true,
      },
      coloursOf(names),
    ],
    axes: [
      {
        orient: 'bottom',
        scale: 'x',
        title: 'connections',
        format: '~s',
        values: [...new Set(points.map(({ connections }) => connections))],
      },
      { orient: 'left', scale: 'y', title: 'ns/packet' },
    ],
    legends: [{ stroke: 'colour', symbolType: 'stroke', orient: 'top-left' }],
    marks: [
      {
        type: 'group',
        from: { facet: { name: 'line', data: 'points', groupby: 'line' } },
        marks: [bandMark(), lineMark()],
      },
    ],
  };
}

/** From the least to the greatest round. */
function bandMark() {
  return {
    type: 'area',
    from: { data: 'line' },
    encode: {
      enter: {
        x: { scale: 'x', field: 'connections' },
        y: { scale: 'y', field: 'low' },
        y2: { scale: 'y', field: 'high' },
        fill: { scale: 'colour', field: 'line' },
        fillOpacity: { value: 0.15 },
      },
    },
  } as const;
}

function lineMark() {
  return {
    type: 'line',
    from: { data: 'line' },
    encode: {
      enter: {
        x: { scale: 'x', field: 'connections' },
        y: { scale: 'y', field: 'value' },
        stroke: { scale: 'colour', field: 'line' },
        strokeWidth: { value: 2 },
      },
    },
  } as const;
}

interface BarOptions {
  readonly title: string;
  readonly axis: string;
  readonly format: string;
}

/** Bars in groups, each with a line from its least to its greatest round. */
function drawBars(bars: readonly Bar[], options: BarOptions): Spec | undefined {
  if (bars.length === 0) return undefined;
  const names = [...new Set(bars.map(({ by }) => by))];
  const groups = [...new Set(bars.map(({ group }) => group))];
  const { title, axis, format } = options;
  return {
    title: { text: title },
    width: WIDTH,
    height: HEIGHT,
    data: [{ name: 'bars', values: [...bars] }],
    scales: [
      { name: 'group', type: 'band', domain: groups, range: 'width', padding: 0.15 },
      {
        name: 'y',
        type: 'linear',
        domain: { data: 'bars', fields: ['high', 'value'] },
        range: 'height',
        zero: true,
        nice: true,
      },
      coloursOf(names),
    ],
    axes: [
      { orient: 'bottom', scale: 'group', grid: false },
      { orient: 'left', scale: 'y', title: axis, format },
    ],
    legends: [{ fill: 'colour', orient: 'right' }],
    marks: [
      {
        type: 'group',
        from: { facet: { name: 'facet', data: 'bars', groupby: 'group' } },
        encode: { enter: { x: { scale: 'group', field: 'group' } } },
        signals: [{ name: 'width', update: "bandwidth('group')" }],
        scales: [{ name: 'by', type: 'band', range: 'width', domain: names, padding: 0.1 }],
        marks: [barMark(), spreadMark()],
      },
    ],
  };
}

function barMark() {
  return {
    type: 'rect',
    from: { data: 'facet' },
    encode: {
      enter: {
        x: { scale: 'by', field: 'by' },
        width: { scale: 'by', band: 1 },
        y: { scale: 'y', field: 'value' },
        y2: { scale: 'y', value: 0 },
        fill: { scale: 'colour', field: 'by' },
      },
    },
  } as const;
}

function spreadMark() {
  return {
    type: 'rule',
    from: { data: 'facet' },
    encode: {
      enter: {
        x: { scale: 'by', field: 'by', band: 0.5 },
        y: { scale: 'y', field: 'low' },
        y2: { scale: 'y', field: 'high' },
        stroke: { value: '#333333' },
      },
    },
  } as const;
}
