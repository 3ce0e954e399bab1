/** The block global_defs. */

import type { DirectorDraft } from '../model.ts';
import type { Statement } from './blocks.ts';
import { globalReason } from './keywords.ts';
import { readBlock, type Values } from './values.ts';

/** Timeouts of ipvsadm, and with it of WVS, in seconds. */
const TIMEOUT_MAX_S = 31 * 86_400;

/** Reads the block: the timeouts of connections are all that WVS has. */
export function readGlobal(statement: Statement, director: DirectorDraft, values: Values): void {
  const reasons = (statement.block ?? []).map(({ keyword }) => [keyword, globalReason(keyword)]);
  readBlock(statement, {
    handlers: {
      lvs_timeouts: (child) => readTimeouts(child, director, values),
      // A director starts without services, and leaves none behind.
      lvs_flush: () => undefined,
      lvs_flush_on_stop: (child) => checkFlush(child, values),
      lvs_flush_onstop: (child) => checkFlush(child, values),
      // This has had its effect when files were included.
      include_check: () => undefined,
    },
    unexpressed: Object.fromEntries(reasons),
    values,
  });
}

/** `lvs_flush_on_stop [VS]`. */
function checkFlush(statement: Statement, values: Values): void {
  const [what] = statement.args;
  if (what === undefined || what === 'VS') return;
  values.lost(statement, `${statement.keyword}: expected VS or nothing, got "${what}"`);
}

/** `lvs_timeouts [tcp SECS] [tcpfin SECS] [udp SECS]`. */
function readTimeouts(statement: Statement, director: DirectorDraft, values: Values): void {
  const timeouts = { ...director.timeouts };
  for (let i = 0; i < statement.args.length; i += 2) {
    const [name, text = ''] = statement.args.slice(i, i + 2);
    const seconds = /^\d+$/.test(text) ? Number(text) : 0;
    if (name !== 'tcp' && name !== 'tcpfin' && name !== 'udp') {
      values.lost(statement, `lvs_timeouts: expected tcp, tcpfin or udp, got "${name}"`);
    } else if (seconds < 1 || seconds > TIMEOUT_MAX_S) {
      const expected = `expected seconds from 1 to ${TIMEOUT_MAX_S}`;
      values.lost(statement, `lvs_timeouts: ${name}: ${expected}, got "${text}"`);
    } else timeouts[name] = `${seconds}s`;
  }
  if (Object.keys(timeouts).length > 0) director.timeouts = timeouts;
}
