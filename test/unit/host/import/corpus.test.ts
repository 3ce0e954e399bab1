/**
 * The sample configurations of Debian's keepalived package, which stay where they are, and the
 * real keepalived where there is one.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../../../host/config/parse.ts';
import { importConfig } from '../../../../host/import/import-config.ts';
import { Random, seedFromEnvironment } from '../../../support/random.ts';
import { folderOf, OPTIONS } from './support.ts';

const SAMPLES = '/usr/share/doc/keepalived/samples';
const KEEPALIVED = '/usr/sbin/keepalived';
const hasSamples = existsSync(SAMPLES);
const hasKeepalived = existsSync(KEEPALIVED);

/** Services and servers that are in each sample; those that are missing here are about VRRP. */
const EXPECTED: Readonly<Record<string, readonly [services: number, servers: number]>> = {
  'HTTP_GET.port': [1, 1],
  IPv6: [1, 1],
  PING_CHECK: [1, 1],
  SMTP_CHECK: [1, 3],
  SSL_GET: [2, 2],
  UDP_CHECK: [1, 1],
  fwmark: [1, 2],
  inhibit: [1, 1],
  misc_check: [1, 1],
  misc_check_arg: [1, 1],
  quorum: [1, 10],
  sample: [1, 1],
  status_code: [1, 1],
  virtual_server_group: [13, 26],
  virtualhost: [1, 1],
  'vrrp.lvs_syncd': [1, 1],
};

describe.skipIf(!hasSamples)('samples of keepalived (not there: install its package)', () => {
  const names = hasSamples ? readdirSync(SAMPLES).filter((name) => name.includes('.conf')) : [];

  test('there are as many as there are known to be', () => {
    expect(names.length).toBeGreaterThanOrEqual(25);
  });

  test.each(names)('%s: a configuration; all that is not in it has a line', (name) => {
    const file = join(SAMPLES, name);
    const text = readFileSync(file, 'utf8');
    const result = importConfig([{ file, text }], OPTIONS);
    if (!result.ok) throw new Error(JSON.stringify(result.errors));
    expect(parseConfig(result.yaml, 'x').ok).toBe(true);
    const servers = result.config.services.flatMap((service) => service.servers);
    const kind = name.replace('keepalived.conf.', '');
    expect([result.config.services.length, servers.length]).toEqual(EXPECTED[kind] ?? [0, 0]);
    expect(result.notes.filter(({ message }) => message.startsWith('unknown'))).toEqual([]);
    const lines = text.split('\n');
    for (const [index, line] of lines.entries()) {
      // A sample of everything that has nothing in WVS: the line itself is in the report.
      if (!/^(vrrp_\w+|static_\w+)\s/.test(line)) continue;
      expect(result.notes).toContainEqual(expect.objectContaining({ line: index + 1 }));
    }
  });
});

/** `LINE keyword` for what the real keepalived does not know; it says so for each of its parts. */
function unknownToKeepalived(file: string): string[] {
  const { stderr } = spawnSync(KEEPALIVED, ['-t', '-i', 'main', '-f', file], {
    encoding: 'utf8',
    timeout: 20_000,
  });
  const found = stderr.matchAll(/^\(\S+: Line (\d+)\) Unknown keyword '(.*)'$/gm);
  return [...new Set([...found].map(([, line, keyword]) => `${line} ${keyword}`))];
}

function unknownToUs(file: string, text: string): string[] {
  const result = importConfig([{ file, text }], OPTIONS);
  if (!result.ok) throw new Error(JSON.stringify(result.errors));
  const found = result.notes.flatMap(({ line, message }) => {
    const match = /^unknown keyword "(.*)" in real_server$/.exec(message);
    return match === null ? [] : [`${line} ${match[1]}`];
  });
  return [...new Set(found)];
}

const SEED = seedFromEnvironment(20_262);

describe.skipIf(!hasKeepalived)('the real keepalived (not there: install it)', () => {
  test(`random definitions, conditions and sequences: the same lines (seed ${SEED})`, () => {
    const random = new Random(SEED);
    const folder = folderOf({});
    for (let round = 0; round < 12; round++) {
      const text = randomText(random);
      const file = join(folder, `${round}.conf`);
      writeFileSync(file, text, { mode: 0o644 });
      expect(unknownToUs(file, text).toSorted(), text).toEqual(
        unknownToKeepalived(file).toSorted(),
      );
    }
  });
});

/** Lines whose keywords nobody knows, so that everybody names them as they are in the end. */
function randomText(random: Random): string {
  const lines = ['virtual_server 192.0.2.80 80 {', 'protocol TCP', 'real_server 10.0.0.1 80 {'];
  const pick = <T>(values: readonly T[]) => values[random.below(values.length)]!;
  const name = () => pick(['A', 'B', 'C_1']);
  let count = 0;
  const word = () => {
    const head = pick([`z\${${name()}}`, `z\${${name()}}.\${${name()}}`, 'z']);
    return `${head}q${count++}`;
  };
  for (const each of ['A', 'B', 'C_1']) lines.push(`$${each}=${each.toLowerCase()}0`);
  for (let i = 0; i < 14; i++) {
    const condition = pick(['', '', '', '@main ', '@^main ', '@other ', '@^other ']);
    lines.push(
      ...pick<() => string[]>([
        () => [`${condition}${word()}`],
        () => [`  ${condition}${word()} ! comment`, '# comment'],
        () => [`${condition}$${name()}=${pick(['x', 'y', ''])}${count++}`],
        () => [`~SEQ(N${count++}, ${pick(['1, 3', '2', '3, 1', '0, 2, 4', '-1'])}) ${word()}`],
        () => [`~SEQx(H${count}, 8, 2, 12) h\${H${count}}q${count++}`],
        () => [`~LST(L${count}, p, r) l\${L${count}}${word()}`],
        () => [`~LST({P${count},Q${count}}, {1,2},{3,4}) \${P${count}}q\${Q${count}}q${count++}`],
        () => [`$M${count}= \\`, `  ${word()} \\`, `  ${condition}${word()}`, `$M${count++}`],
      ])(),
    );
  }
  return `${[...lines, '}', '}', ''].join('\n')}`;
}
