/**
 * `npm run demo`: a client, a director on AF_XDP and two web servers in network namespaces, and
 * real HTTP through each forwarding method. Leaves nothing behind, also after Ctrl-C.
 *
 * Where that is impossible (not root, no AF_XDP), a shipped capture is replayed instead.
 */

import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMap, parseDocument } from 'yaml';
import { formatEndpoint } from '../config/address.ts';
import { ADDRESSES, METHODS, type Method } from '../netns/addresses.ts';
import { runClient } from '../netns/client-operations.ts';
import type { DirectorOptions } from '../netns/director.ts';
import { type Director, directorProgram, startDirector } from '../netns/director.ts';
import { isInterrupted, type Namespace } from '../netns/namespaces.ts';
import { ensureCommands, whyNoAfXdp, whyNoNamespaces } from '../netns/prerequisites.ts';
import { builtProgram, sourceRoot, waitForLine } from '../netns/processes.ts';
import { createTopology, startDecapsulator, type Topology } from '../netns/topology.ts';
import { emphasized, type Row, tableHead, tableRow, topologyDrawing } from './drawing.ts';
import { forwardedPackets } from './packets.ts';

const QUEUES = 2;
const CONNECTIONS = 20;
const REQUESTS_PER_CONNECTION = 100;

async function main(): Promise<number> {
  const obstacle = whyNoNamespaces() ?? whyNoAfXdp();
  if (obstacle !== undefined) return replay(obstacle);
  ensureCommands(['ip', 'make', 'cc']);

  const start = performance.now();
  print(emphasized('WVS: one director, four forwarding methods, real HTTP'));
  const topology = createTopology({ arms: 2, queues: QUEUES, servers: 2 });
  try {
    print(topologyDrawing(QUEUES));
    await Promise.all(topology.servers.map(startWebServer));
    const director = await startDirector(topology.director, prepareConfiguration(topology));
    const rows = await runMethods(topology, director);
    await director.stop();
    return conclude(rows, performance.now() - start);
  } finally {
    await topology.close();
  }
}

async function startWebServer(server: Namespace): Promise<void> {
  const options = JSON.stringify({ name: server.role, http: [80, 8080] });
  const child = server.spawn([process.execPath, builtProgram('server.js'), options]);
  await Promise.all([
    waitForLine(child, /^ready$/, { what: `the web server of ${server.role}` }),
    startDecapsulator(server),
  ]);
}

/** The shipped configuration, with a control socket that does not meet that of a real director. */
function prepareConfiguration(topology: Topology): DirectorOptions {
  const document = parseDocument(readFileSync(shipped('demo.yaml'), 'utf8'));
  const socket = join(topology.set.directory, 'wvs.sock');
  const configuration = join(topology.set.directory, 'demo.yaml');
  if (!isMap(document.get('director'))) throw new Error('demo.yaml describes no director');
  document.setIn(['director', 'control'], socket);
  writeFileSync(configuration, String(document));
  return { configuration, socket };
}

async function runMethods(topology: Topology, director: Director): Promise<readonly Row[]> {
  const rows: Row[] = [];
  print(tableHead());
  for (const method of METHODS) {
    const before = forwardedPackets(director.status());
    const service = serviceOf(method);
    const load = {
      url: `http://${service}`,
      connections: CONNECTIONS,
      requests: REQUESTS_PER_CONNECTION,
    };
    const report = await runClient(topology.client, ['http', load]);
    const packets = forwardedPackets(director.status()) - before;
    const row = { method, service, report, packets };
    rows.push(row);
    print(tableRow(row));
  }
  return rows;
}

function serviceOf(method: Method): string {
  return formatEndpoint(ADDRESSES.ipv4.wan.vips[method], 80);
}

function conclude(rows: readonly Row[], milliseconds: number): number {
  const wanted = rows.length * CONNECTIONS * REQUESTS_PER_CONNECTION;
  const answered = rows.reduce((sum, { report }) => sum + report.answered, 0);
  print(
    `\n  ${answered} of ${wanted} requests answered over ${CONNECTIONS} connections at once, ` +
      `in ${(milliseconds / 1000).toFixed(1)} s altogether.`,
  );
  for (const { method, report } of rows) {
    for (const [error, times] of Object.entries(report.failed)) {
      print(`  ${method}: ${error} (${times} times)`);
    }
  }
  return answered === wanted ? 0 : 1;
}

function replay(obstacle: string): number {
  print(`The demo with real interfaces cannot run here: ${obstacle}.`);
  print('Replaying a shipped capture instead, without any privilege:\n');
  const { status } = spawnSync(
    process.execPath,
    [
      directorProgram(),
      'replay',
      '--config',
      shipped('replay.yaml'),
      '--in',
      `wan=${shipped('replay.pcap')}`,
    ],
    { stdio: 'inherit' },
  );
  return status ?? 1;
}

function shipped(name: string): string {
  return join(sourceRoot(), 'host/demo', name);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!isInterrupted())
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
