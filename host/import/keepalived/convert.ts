/** A keepalived.conf as a configuration of WVS. */

import type { ConfigDraft } from '../model.ts';
import type { ImportReport } from '../report.ts';
import { buildBlocks, type Statement } from './blocks.ts';
import { type ExpandOptions, expandLines } from './expand.ts';
import { readGlobal } from './global.ts';
import { ROOT_UNEXPRESSED } from './keywords.ts';
import { servicesOf } from './services.ts';
import { readTlsFiles, type TlsFiles } from './tls-files.ts';
import { readTrackFile, type TrackFile } from './track-files.ts';
import { Values } from './values.ts';
import { readVirtualServer, type VirtualServer } from './virtual-server.ts';
import { readGroup, readMark, type Target } from './virtual-server-group.ts';

/** Adds what the file says to `draft`. What it says that WVS has not is in `report`. */
export function convertKeepalived(
  source: { readonly file: string; readonly text: string },
  draft: ConfigDraft,
  { report, ...options }: ExpandOptions & { readonly report: ImportReport },
): void {
  const lines = expandLines(source, options, report);
  const statements = buildBlocks(lines, report);
  new Conversion(draft, report).convert(statements);
}

/** Keywords that mean nothing without a block. */
const BLOCKS: ReadonlySet<string> = new Set([
  'global_defs',
  'virtual_server',
  'virtual_server_group',
  'track_file',
  'vrrp_track_file',
]);

class Conversion {
  readonly #draft: ConfigDraft;
  readonly #values: Values;
  readonly #groups = new Map<string, readonly Target[]>();
  readonly #trackFiles = new Map<string, TrackFile>();
  readonly #trackFileStatements = new Map<string, Statement>();
  #tls: TlsFiles = {};

  constructor(draft: ConfigDraft, report: ImportReport) {
    this.#draft = draft;
    this.#values = new Values(report);
  }

  convert(statements: readonly Statement[]): void {
    const servers: Statement[] = [];
    for (const statement of statements) {
      if (BLOCKS.has(statement.keyword) && statement.block === undefined) {
        this.#values.report.error(statement.origin, `${statement.keyword} has no block in braces`);
      } else if (statement.keyword === 'virtual_server') servers.push(statement);
      else this.#read(statement);
    }
    // Groups and files may come after the servers that use them.
    for (const statement of servers) this.#addServices(statement);
    this.#reportUnusedFiles(servers);
  }

  #read(statement: Statement): void {
    const { keyword } = statement;
    switch (keyword) {
      case 'global_defs':
        readGlobal(statement, this.#draft.director, this.#values);
        return;
      case 'virtual_server_group':
        this.#readGroup(statement);
        return;
      case 'track_file':
      case 'vrrp_track_file':
        this.#readTrackFile(statement);
        return;
      case 'SSL':
        this.#tls = readTlsFiles(statement, this.#values);
        return;
      case 'vrrp_instance':
        this.#learnInterface(statement);
        break;
      case 'include_check':
        return;
    }
    const reason = Object.hasOwn(ROOT_UNEXPRESSED, keyword) ? ROOT_UNEXPRESSED[keyword] : undefined;
    const name = [keyword, ...statement.args].join(' ');
    const message =
      reason === undefined ? `unknown keyword "${keyword}"` : `${name} is left out: ${reason}`;
    this.#values.lost(statement, message);
  }

  #readGroup(statement: Statement): void {
    const name = this.#values.text(statement);
    if (name === undefined) return;
    if (this.#groups.has(name)) {
      this.#values.lost(statement, `there is a virtual_server_group "${name}" already`);
      return;
    }
    this.#groups.set(name, readGroup(statement, this.#values));
  }

  #readTrackFile(statement: Statement): void {
    const name = this.#values.text(statement);
    const file = readTrackFile(statement, this.#values);
    if (name === undefined || file === undefined) return;
    this.#trackFiles.set(name, file);
    this.#trackFileStatements.set(name, statement);
  }

  #reportUnusedFiles(servers: readonly Statement[]): void {
    const used = new Set(servers.flatMap(trackedFiles));
    for (const [name, statement] of this.#trackFileStatements) {
      if (used.has(name)) continue;
      const message = `${statement.keyword} ${name} is left out: no FILE_CHECK uses it`;
      this.#values.lost(statement, message);
    }
  }

  /** The interface that virtual addresses are on is one that packets come in by. */
  #learnInterface({ block }: Statement): void {
    const name = block?.find(({ keyword }) => keyword === 'interface')?.args[0];
    if (name !== undefined) this.#draft.director.interfaces.add(name);
  }

  #addServices(statement: Statement): void {
    const values = this.#values;
    const server = readVirtualServer(statement, values);
    const [kind, name] = statement.args;
    const group = kind === 'group' ? name : undefined;
    const targets = this.#targetsOf(server);
    const input = { server, targets, group, trackFiles: this.#trackFiles, tls: this.#tls };
    const services = servicesOf(input, values);
    this.#draft.services.push(...services);
  }

  #targetsOf({ statement }: VirtualServer): readonly Target[] {
    const values = this.#values;
    const { origin, args } = statement;
    const [first, second, ...rest] = args;
    if (rest.length > 0) {
      values.lost(statement, `there is nothing to do with "${rest.join(' ')}"`);
    }
    if (first === 'fwmark') {
      const mark = readMark(statement, [second ?? ''], values);
      return mark === undefined ? [] : [mark];
    }
    if (first === 'group') {
      const targets = this.#groups.get(second ?? '');
      if (targets !== undefined) return targets;
      values.lost(statement, `there is no virtual_server_group "${second ?? ''}"`);
      return [];
    }
    const address = values.address(statement, first);
    const port = values.port(statement, second);
    if (address === undefined || port === undefined) return [];
    return [{ kind: 'address', origin, ...address, port }];
  }
}

function trackedFiles({ keyword, args, block }: Statement): string[] {
  const own = keyword === 'track_file' && args[0] !== undefined ? [args[0]] : [];
  return [...own, ...(block ?? []).flatMap(trackedFiles)];
}
