/** The checker UDP_CHECK. */

import type { PlainMapping } from '../model.ts';
import type { Statement } from './blocks.ts';
import type { Handlers, Values } from './values.ts';

/** What a UDP_CHECK says. */
export interface UdpDraft {
  payload?: string | undefined;
  isReplyRequired: boolean;
  reply?: string | undefined;
  min: number;
  max: number;
}

/** What keepalived takes for a reply when nothing is said of its length. */
const REPLY_MAX = 255;
const LENGTHS = { min: 0, max: 65_535 };

export function emptyUdpDraft(): UdpDraft {
  return { isReplyRequired: false, min: 0, max: REPLY_MAX };
}

/** The keywords that fill in the draft. */
export function udpHandlers(draft: UdpDraft, values: Values): Handlers {
  return {
    payload: (statement) => {
      draft.payload = readHex(statement, values, { hasWildcards: false }) ?? draft.payload;
    },
    require_reply: (statement) => {
      draft.isReplyRequired = true;
      draft.reply = readHex(statement, values, { hasWildcards: true }) ?? draft.reply;
    },
    min_reply_length: (statement) => {
      draft.min = values.number(statement, LENGTHS) ?? draft.min;
    },
    max_reply_length: (statement) => {
      draft.max = values.number(statement, LENGTHS) ?? draft.max;
    },
  };
}

/** The fields of the check. What a reply is like only counts when there has to be one. */
export function udpFields(draft: UdpDraft): PlainMapping {
  const { payload, isReplyRequired, reply, min, max } = draft;
  const fields = { type: 'udp', sendHex: payload };
  if (!isReplyRequired) return fields;
  return {
    ...fields,
    requireReply: true,
    expectHex: reply,
    replyMin: min === 0 ? undefined : min,
    replyMax: max,
  };
}

/**
 * Bytes as two digits each. The spelling is free: one digit before a blank is a byte as well.
 * Undefined when there are none, or not only digits.
 */
function readHex(
  statement: Statement,
  values: Values,
  { hasWildcards }: { readonly hasWildcards: boolean },
): string | undefined {
  const text = statement.args.join(' ').toLowerCase();
  if (text === '') return undefined;
  const digits = hasWildcards ? /^[0-9a-fx \t]+$/ : /^[0-9a-f \t]+$/;
  if (digits.test(text)) {
    const bytes = text.match(/[0-9a-fx]{1,2}/g)!;
    return bytes.map((byte) => byte.padStart(2, '0')).join('');
  }
  values.lost(statement, `${statement.keyword}: expected hexadecimal digits, got "${text}"`);
  return undefined;
}
