/** `lvs_method NAT|DR|TUN [type ...]`. */

import type { ForwardingDraft, TunnelDraft } from '../model.ts';
import type { Statement } from './blocks.ts';
import type { Values } from './values.ts';

const CHECKSUMS: Readonly<Record<string, TunnelDraft['checksum']>> = {
  nocsum: 'none',
  csum: 'csum',
  remcsum: 'remcsum',
};

/** Reads a forwarding method; undefined, and a report, when it is none. */
export function readForwarding(statement: Statement, values: Values): ForwardingDraft | undefined {
  const [method, ...options] = statement.args;
  if (method === 'NAT' || method === 'DR') {
    if (options.length > 0) {
      values.lost(statement, `${method} has no options: ${options.join(' ')} is left out`);
    }
    return { method: method === 'NAT' ? 'nat' : 'direct-route' };
  }
  if (method === 'TUN') {
    const tunnel = readTunnel(options);
    if (typeof tunnel !== 'string') return { method: 'tunnel', tunnel };
    values.lost(statement, `${statement.keyword} is left out: ${tunnel}`);
    return undefined;
  }
  values.lost(statement, `${statement.keyword}: expected NAT, DR or TUN, got "${method ?? ''}"`);
  return undefined;
}

/** The tunnel that the words tell of, or what is wrong with them. */
function readTunnel(words: readonly string[]): TunnelDraft | string {
  let type: TunnelDraft['type'] = 'ipip';
  let port = 0;
  let checksum: TunnelDraft['checksum'] = 'none';
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    const known = Object.hasOwn(CHECKSUMS, word) ? CHECKSUMS[word] : undefined;
    if (known !== undefined) checksum = known;
    else if (word === 'type') {
      const name = words[++i];
      if (name !== 'ipip' && name !== 'gue' && name !== 'gre') {
        return `expected type ipip, gue or gre, got "${name ?? ''}"`;
      }
      type = name;
    } else if (word === 'port') {
      const text = words[++i] ?? '';
      port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
      if (port < 1 || port > 65_535) return `expected a port from 1 to 65535, got "${text}"`;
    } else return `a tunnel has no option "${word}"`;
  }
  if ((type === 'gue') !== (port !== 0)) return 'a tunnel of type gue has a port, others have none';
  if (type === 'ipip' && checksum !== 'none') return 'a tunnel of type ipip has no checksum';
  if (type === 'gre' && checksum === 'remcsum') return 'a tunnel of type gre has no remcsum';
  return { type, port, checksum };
}
