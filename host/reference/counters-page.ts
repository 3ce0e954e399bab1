// host/docs/counters.md, from the counters' names and sentences.

import { STEERING_OUTCOMES } from 'af-xdp-socket';
import { COUNTER_NAMES, DROP_PREFIX } from '../stats/counter-names.ts';
import { COUNTER_SENTENCES, STEERING_SENTENCES } from './counter-sentences.ts';
import { markdownTable } from './table.ts';

const HEAD = `# Counters

\`wvs status\` shows those that are not 0, \`wvs status --json\` the same for programs, \`/metrics\` all of them. They
begin at 0 when the director starts, and a reload does not touch them.
`;

const STEERING = `## Steering

The XDP program counts each frame that comes in by a port once: what it gives to the data plane (\`steered-\`) and what
stays with the kernel (\`passed-\`).
`;

const DATA_PLANE = `## Data plane

A packet is counted as received, and then in the end as transmitted, as left to the director's own stack, or under one
drop reason. What was sent in answer (resets, ICMP errors) is counted beside it.
`;

/** The page. */
export function countersPage(): string {
  const names = COUNTER_NAMES.filter((name) => name !== '' && name !== 'none');
  const drops = names.filter((name) => name.startsWith(DROP_PREFIX));
  const others = names.filter((name) => !name.startsWith(DROP_PREFIX));
  const table = (list: readonly string[], sentences: Readonly<Record<string, string>>) =>
    markdownTable(
      ['counter', 'counts'],
      list.map((name) => [`\`${name}\``, sentences[name] ?? '']),
    );
  return [
    HEAD,
    STEERING,
    `${table(STEERING_OUTCOMES, STEERING_SENTENCES)}\n`,
    DATA_PLANE,
    `${table(others, COUNTER_SENTENCES)}\n`,
    '## Drop reasons\n',
    `${table(drops, COUNTER_SENTENCES)}\n`,
  ].join('\n');
}
