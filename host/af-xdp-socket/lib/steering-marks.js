// Firewall marks as the entries of the steering program's trie: prefixes with the rules that hold
// there. Pure: no system calls.

import { maskTo, parsePrefix } from './address.js';
import { rangeError, requireList, requireObject } from './arguments.js';
import { constants, mapDefinitions, STEERING_MARK_RULES_MAX } from './steering-bytecode.js';
import { PROTOCOL_BITS, requireProtocol, WITH_PORTS } from './steering-endpoints.js';
import { EVERY_PORT, joinRanges, requireRange, writeRange } from './steering-ranges.js';

function readMark(mark, name) {
  requireObject(mark, name);
  requireProtocol(mark.protocol, `${name}.protocol`);
  const prefix = parsePrefix(mark.destination, () => `${name}.destination`);
  const ports = mark.ports === undefined ? [EVERY_PORT] : requireList(mark.ports, `${name}.ports`);
  if (mark.ports !== undefined && !WITH_PORTS.includes(mark.protocol)) {
    throw rangeError(`${name}.ports: protocol '${mark.protocol}' stands for no ports.`);
  }
  for (const [number, range] of ports.entries()) requireRange(range, `${name}.ports[${number}]`);
  return { prefix, protocols: PROTOCOL_BITS[mark.protocol], ports: joinRanges(ports) };
}

function prefixText(bytes, ipv6, length) {
  return `${ipv6 ? 6 : 4}/${length}/${Buffer.from(bytes).toString('latin1')}`;
}

function addRule(rules, protocols, ports) {
  const same = rules.find(({ ports: [first, last] }) => first === ports[0] && last === ports[1]);
  if (same === undefined) rules.push({ protocols, ports });
  else same.protocols |= protocols;
}

function collectMarks(list) {
  const prefixes = new Map();
  for (const [index, mark] of requireList(list, 'marks').entries()) {
    const { prefix, protocols, ports } = readMark(mark, `marks[${index}]`);
    const text = prefixText(prefix.bytes, prefix.ipv6, prefix.length);
    if (!prefixes.has(text)) prefixes.set(text, { ...prefix, rules: [] });
    for (const range of ports) addRule(prefixes.get(text).rules, protocols, range);
  }
  return prefixes;
}

// The trie answers with the longest prefix only, so that one has to know all that covers it.
function rulesWithCovering(prefix, prefixes, lengths) {
  const rules = [];
  for (const length of lengths) {
    if (length > prefix.length) continue;
    const bytes = maskTo(Uint8Array.from(prefix.bytes), length);
    const covering = prefixes.get(prefixText(bytes, prefix.ipv6, length));
    for (const rule of covering?.rules ?? []) addRule(rules, rule.protocols, rule.ports);
  }
  return rules;
}

function encodePrefixKey({ bytes, ipv6, length }) {
  const key = Buffer.alloc(mapDefinitions.marks.keyLength);
  key.writeUInt32LE(constants.PREFIX_BITS_BEFORE_ADDRESS + length, 0);
  key[constants['prefix_key.bank_and_family']] = ipv6 ? constants.KEY_IPV6 : 0;
  key.set(bytes, constants['prefix_key.address']);
  return key.toString('latin1');
}

function encodeRules(rules) {
  const value = Buffer.alloc(mapDefinitions.marks.valueLength);
  value[constants['prefix_value.rule_count']] = rules.length;
  for (const [index, { protocols, ports }] of rules.entries()) {
    const at = constants['prefix_value.rules'] + index * constants.mark_rule;
    value[at + constants['mark_rule.protocols']] = protocols;
    writeRange(value, at + constants['mark_rule.ports'], ports);
  }
  return value.toString('latin1');
}

/** @returns {Map<string, string>} key without bank, to value */
export function encodeMarks(list) {
  const prefixes = collectMarks(list);
  const lengths = [...new Set([...prefixes.values()].map(({ length }) => length))].sort(
    (one, other) => one - other,
  );
  const table = new Map();
  for (const prefix of prefixes.values()) {
    const rules = rulesWithCovering(prefix, prefixes, lengths);
    if (rules.length > STEERING_MARK_RULES_MAX) {
      throw rangeError(
        `marks: a destination can have at most ${STEERING_MARK_RULES_MAX} different port ranges, ` +
          `those of prefixes around it included; one has ${rules.length}.`,
      );
    }
    table.set(encodePrefixKey(prefix), encodeRules(rules));
  }
  return table;
}
