/**
 * A draft as the YAML of a configuration file that people read on: one line for each server, what
 * all servers share written once, and behind each part the line it comes from.
 */

import { basename } from 'node:path';
import { Document, isMap, isScalar, isSeq, type YAMLMap } from 'yaml';
import { formatPath } from '../config/problems.ts';
import type {
  CheckDraft,
  ConfigDraft,
  ForwardingDraft,
  MarkDraft,
  PlainMapping,
  PlainValue,
  ServerDraft,
  ServiceDraft,
  SorryServerDraft,
} from './model.ts';
import type { OwnComments } from './own-comments.ts';
import type { Origin } from './report.ts';

/** A file's text, and where its parts come from. */
export interface WrittenConfig {
  readonly yaml: string;
  /** By paths such as `services[0].servers[1]`. */
  readonly origins: ReadonlyMap<string, Origin>;
}

/** What there is to write. */
export interface WriteInput {
  readonly draft: ConfigDraft;
  readonly own: OwnComments;
  readonly interfaces: readonly string[];
}

/** Writes a draft. Its services stand in the same order as in the draft. */
export function writeYaml({ draft, own, interfaces }: WriteInput): WrittenConfig {
  const origins = new Map<string, Origin>();
  const marks = [...draft.marks.map(markPlain), ...own.marks];
  const services = draft.services.map((service) => servicePlain(service));
  const document = new Document({
    version: 1,
    director: directorPlain(draft, own, interfaces),
    ...(marks.length > 0 && { marks }),
    services: services.map(({ plain }) => plain),
  });
  if (own.origin !== undefined) {
    origins.set('director', own.origin);
    for (const index of own.marks.keys()) {
      origins.set(`marks[${draft.marks.length + index}]`, own.origin);
    }
  }
  inOneLine(document.getIn(['director', 'ports']));
  annotateMarks(document, draft.marks, origins);
  annotateServices(document, draft.services, { origins, shared: services });
  document.commentBefore = heading(draft);
  return { yaml: document.toString({ lineWidth: 0, flowCollectionPadding: true }), origins };
}

function heading({ services, marks }: ConfigDraft): string {
  const files = [...new Set([...services, ...marks].map(({ origin }) => origin.file))];
  const from = files.length === 0 ? '' : ` from ${files.map((file) => basename(file)).join(', ')}`;
  return ` Imported${from} by wvs import. Numbers behind # are lines there.`;
}

function directorPlain(
  { director }: ConfigDraft,
  own: OwnComments,
  interfaces: readonly string[],
): PlainMapping {
  const ports = interfaces.map((name) => ({ name }));
  return without({
    ports,
    localAddresses: director.localAddresses.size > 0 ? [...director.localAddresses] : undefined,
    timeouts: director.timeouts,
    ...(own.director as PlainMapping),
  });
}

function markPlain({ mark, destination, protocol, ports }: MarkDraft): PlainMapping {
  return without({ mark, destination, protocol, ports: ports.length > 0 ? ports : undefined });
}

/** A service as plain values, and what of its servers is said once for all of them. */
interface ServicePlain {
  readonly plain: PlainMapping;
  readonly checks: readonly CheckDraft[];
}

function servicePlain(service: ServiceDraft): ServicePlain {
  const { servers, sorryServer, persistence, notify } = service;
  const common = commonForwarding(service);
  const checks = commonChecks(servers);
  const serverList = servers.map((server) => serverPlain(server, { common, checks }));
  const plain = without({
    name: service.name,
    listen: service.listen,
    scheduler: service.scheduler,
    schedulerFlags: service.schedulerFlags.length > 0 ? service.schedulerFlags : undefined,
    forwarding: common.method,
    tunnel: tunnelPlain(common.tunnel),
    persistence: persistence && without({ ...persistence }),
    onePacket: service.onePacket || undefined,
    quorum: service.quorum === 1 ? undefined : service.quorum,
    hysteresis: service.hysteresis === 0 ? undefined : service.hysteresis,
    inhibitOnFailure: service.inhibitOnFailure || undefined,
    omega: service.omega || undefined,
    notify,
    sorryServer: sorryServer && sorryServerPlain(sorryServer, common),
    check: checksPlain(checks),
    servers: serverList,
  });
  return { plain, checks };
}

/** What the first server has; the tunnel is that of the first server that has one. */
function commonForwarding({ servers, forwarding }: ServiceDraft): ForwardingDraft {
  const own = servers.map((server) => server.forwarding);
  const method = own[0]?.method ?? forwarding.method;
  const tunnel = own.find((one) => one.tunnel !== undefined)?.tunnel;
  return tunnel === undefined ? { method } : { method, tunnel };
}

/** The checks that all servers have; none when they differ. */
function commonChecks(servers: readonly ServerDraft[]): readonly CheckDraft[] {
  const textOf = (checks: readonly CheckDraft[]) =>
    JSON.stringify(checks.map(({ fields }) => fields));
  const first = servers[0]?.checks ?? [];
  const text = textOf(first);
  return servers.every(({ checks }) => textOf(checks) === text) ? first : [];
}

/** One check is written without a list. */
function checksPlain(checks: readonly CheckDraft[]): PlainValue | undefined {
  const all = checks.map(({ fields }) => without(fields));
  return all.length > 1 ? all : all[0];
}

function serverPlain(
  server: ServerDraft,
  service: { readonly common: ForwardingDraft; readonly checks: readonly CheckDraft[] },
): PlainMapping {
  const { address, weight, upperThreshold, lowerThreshold, forwarding, checks } = server;
  return without({
    address,
    weight,
    upperThreshold: upperThreshold === 0 ? undefined : upperThreshold,
    lowerThreshold: lowerThreshold === 0 ? undefined : lowerThreshold,
    ...forwardingPlain(forwarding, service.common),
    inhibitOnFailure: server.inhibitOnFailure,
    notify: server.notify,
    check: service.checks.length === 0 ? checksPlain(checks) : undefined,
  });
}

function sorryServerPlain(
  { address, forwarding, inhibit }: SorryServerDraft,
  common: ForwardingDraft,
): string | PlainMapping {
  const other = without({ ...forwardingPlain(forwarding, common), inhibit: inhibit || undefined });
  return Object.keys(other).length === 0 ? address : { address, ...other };
}

/** What has to be said when it is not what the service says. */
function forwardingPlain(
  { method, tunnel }: ForwardingDraft,
  common: ForwardingDraft,
): PlainMapping {
  const isOtherTunnel =
    tunnel !== undefined && JSON.stringify(tunnel) !== JSON.stringify(common.tunnel);
  return {
    forwarding: method === common.method ? undefined : method,
    tunnel: isOtherTunnel ? tunnelMapping(tunnel) : undefined,
  };
}

function tunnelPlain(tunnel: ForwardingDraft['tunnel']): PlainMapping | undefined {
  const isDefault = tunnel?.type === 'ipip' && tunnel.checksum === 'none';
  return tunnel === undefined || isDefault ? undefined : tunnelMapping(tunnel);
}

function tunnelMapping({ type, port, checksum }: NonNullable<ForwardingDraft['tunnel']>) {
  return without({
    type,
    port: port === 0 ? undefined : port,
    checksum: checksum === 'none' ? undefined : checksum,
  });
}

function without(mapping: PlainMapping): PlainMapping {
  return Object.fromEntries(Object.entries(mapping).filter(([, value]) => value !== undefined));
}

function annotateMarks(
  document: Document,
  marks: readonly MarkDraft[],
  origins: Map<string, Origin>,
): void {
  for (const [index, { origin }] of marks.entries()) {
    const path = ['marks', index];
    origins.set(formatPath(path), origin);
    const node = document.getIn(path);
    inOneLine(node);
    setComment(node, origin, marks[0]!.origin.file);
  }
}

interface Annotation {
  readonly origins: Map<string, Origin>;
  readonly shared: readonly ServicePlain[];
}

function annotateServices(
  document: Document,
  services: readonly ServiceDraft[],
  { origins, shared }: Annotation,
): void {
  const list = document.get('services');
  if (!isSeq(list)) return;
  list.flow = services.length === 0;
  const firstOfGroup = new Map<string, { node: YAMLMap; text: string }>();
  for (const [index, service] of services.entries()) {
    const node = list.items[index];
    if (!isMap(node)) continue;
    const { checks, plain } = shared[index]!;
    recordOrigins(service, { index, checks }, origins);
    annotateService(node, service);
    node.spaceBefore = index > 0;
    if (service.group === undefined) continue;
    const text = JSON.stringify({ ...plain, listen: '', name: '' });
    const first = firstOfGroup.get(service.group);
    if (first?.text === text) {
      first.node.anchor ??= `group${firstOfGroup.size}`;
      shareWith(document, node, first.node);
    } else if (first === undefined) firstOfGroup.set(service.group, { node, text });
  }
}

/** Services of a group differ in where they listen; all else is written once. */
function shareWith(document: Document, node: YAMLMap, first: YAMLMap): void {
  const own = node.items.filter(({ key }) => {
    return isScalar(key) && (key.value === 'name' || key.value === 'listen');
  });
  node.items = [document.createPair('<<', document.createAlias(first)), ...own];
}

function annotateService(node: YAMLMap, { origin, servers, sorryServer }: ServiceDraft): void {
  node.commentBefore = ` ${placeOf(origin)}`;
  const persistence = node.get('persistence');
  inOneLine(persistence);
  inOneLine(node.get('schedulerFlags'));
  inOneLine(node.get('tunnel'));
  inOneNotify(node.get('notify'));
  inOneCommands(node.get('check'));
  const sorry = sorryServer && node.get('sorryServer', true);
  inOneLine(sorry);
  setComment(sorry, sorryServer?.origin, origin.file);
  const list = node.get('servers');
  if (!isSeq(list)) return;
  list.flow = servers.length === 0;
  for (const [index, server] of servers.entries()) {
    const item = list.items[index];
    if (isMap(item) && !item.has('check')) inOneLine(item);
    else if (isMap(item)) {
      inOneCommands(item.get('check'));
      inOneNotify(item.get('notify'));
    }
    setComment(item, server.origin, origin.file);
  }
}

function placeOf({ file, line }: Origin): string {
  return `${basename(file)}:${line}`;
}

function inOneNotify(notify: unknown): void {
  if (isMap(notify)) for (const { value } of notify.items) inOneLine(value);
}

/** The commands of a check or of a list of checks. */
function inOneCommands(checks: unknown): void {
  for (const check of isSeq(checks) ? checks.items : [checks]) {
    if (isMap(check)) inOneLine(check.get('command'));
  }
}

function inOneLine(node: unknown): void {
  if (isMap(node) || isSeq(node)) node.flow = true;
}

/** Behind what is in one line, before what is not; the file is said where it is another one. */
function setComment(node: unknown, origin: Origin | undefined, file: string): void {
  if (origin === undefined || !(isMap(node) || isScalar(node))) return;
  const comment = origin.file === file ? ` ${origin.line}` : ` ${placeOf(origin)}`;
  if (isMap(node) && !node.flow) node.commentBefore = comment;
  else node.comment = comment;
}

function recordOrigins(
  { origin, servers, sorryServer }: ServiceDraft,
  { index, checks }: { readonly index: number; readonly checks: readonly CheckDraft[] },
  origins: Map<string, Origin>,
): void {
  const path = `services[${index}]`;
  origins.set(path, origin);
  recordChecks(path, checks, origins);
  if (sorryServer !== undefined) origins.set(`${path}.sorryServer`, sorryServer.origin);
  for (const [number, server] of servers.entries()) {
    origins.set(`${path}.servers[${number}]`, server.origin);
    recordChecks(`${path}.servers[${number}]`, server.checks, origins);
  }
}

function recordChecks(
  path: string,
  checks: readonly CheckDraft[],
  origins: Map<string, Origin>,
): void {
  for (const [index, { origin }] of checks.entries()) {
    origins.set(`${path}.check${checks.length > 1 ? `[${index}]` : ''}`, origin);
  }
}
