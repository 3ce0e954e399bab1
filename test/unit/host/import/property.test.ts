// biome-ignore-all lint/suspicious/noTemplateCurlyInString: keepalived's parameters look like this.
import { expect, test } from 'vitest';
import { parseConfig } from '../../../../host/config/parse.ts';
import { Random, seedFromEnvironment } from '../../../support/random.ts';
import { outcome, virtualServer } from './support.ts';

const SEED = seedFromEnvironment(20_263);

/** Keywords with arguments, right and wrong, each where it belongs. */
const VALUES = ['0', '1', '3', '70000', '-1', '0.5', 'x', '', '"a b"', 'on', 'off', '99999999999'];
const SERVER_STATEMENTS = [
  'lvs_sched rr',
  'lvs_sched mh',
  'lb_algo sh',
  'lb_algo foo',
  'lvs_method NAT',
  'lvs_method DR',
  'lvs_method TUN',
  'lvs_method TUN type gue port 9 csum',
  'lvs_method TUN type gre remcsum',
  'protocol TCP',
  'protocol UDP',
  'protocol SCTP',
  'protocol X',
  'ops',
  'hashed',
  'flag-1',
  'flag-2',
  'flag-3',
  'sh-port',
  'mh-fallback',
  'alpha',
  'omega',
  'ha_suspend',
  'ip_family inet6',
  'persistence_timeout',
  'persistence_granularity 255.255.0.0',
  'persistence_granularity 64',
  'persistence_engine sip',
  'sorry_server 10.0.0.9 80',
  'sorry_server ::9',
  'sorry_server_inhibit',
  'sorry_server_lvs_method TUN',
  'inhibit_on_failure',
  'quorum_up /bin/x',
  'virtualhost w',
  'snmp_name web',
  'smtp_alert',
  'bogus',
  'quorum_down "/bin/x \'a\'" root',
];
const NUMBERED = [
  'delay_loop',
  'retry',
  'connect_timeout',
  'delay_before_retry',
  'warmup',
  'quorum',
  'hysteresis',
  'weight',
  'persistence_timeout',
];
const REAL_STATEMENTS = [
  'lvs_method DR',
  'lvs_method NAT',
  'lvs_method TUN type gre',
  'alpha off',
  'inhibit_on_failure',
  'notify_up /bin/up',
  'notify_down "/bin/down a"',
  'virtualhost v',
  'bogus x',
];
const REAL_NUMBERED = ['weight', 'uthreshold', 'lthreshold', 'retry', 'delay_loop', 'warmup'];
const CHECKER_STATEMENTS = [
  'connect_ip 10.3.3.3',
  'connect_ip x',
  'bindto 10.0.0.1',
  'bindto ::1',
  'fwmark 3',
  'alpha',
  'url {\npath /\n}',
  'url {\npath /a b\nstatus_code 200 700-800\n}',
  'url {\nregex [\npath /x\n}',
  'helo_name "a b"',
  'host {\nconnect_ip 10.4.4.4\n}',
  'type MX',
  'type X',
  'name example.com',
  'misc_path "/bin/x a"',
  'misc_dynamic',
  'payload 0aF',
  'payload zz',
  'require_reply xx01',
  'track_file f',
  'dynamic',
  'enable_sni',
  'bogus',
];
const CHECKER_NUMBERED = [
  'connect_port',
  'connect_timeout',
  'retry',
  'misc_timeout',
  'weight',
  'warmup',
];
const CHECKERS = [
  'HTTP_GET',
  'SSL_GET',
  'TCP_CHECK',
  'SMTP_CHECK',
  'DNS_CHECK',
  'MISC_CHECK',
  'BFD_CHECK',
  'UDP_CHECK',
  'PING_CHECK',
  'FILE_CHECK',
];
const PLACES = [
  '192.0.2.1 80',
  '192.0.2.2',
  '2001:db8::1 443',
  'fwmark 5',
  'fwmark 0',
  'group G',
  'group H',
  '224.0.0.1 80',
  '192.0.2.1 80',
  'x y',
  '',
];
const REAL_PLACES = [
  '10.0.0.1 80',
  '10.0.0.1 80',
  '10.0.0.2 8080',
  '10.0.0.3',
  '2001:db8::9 80',
  'fe80::1 80',
  '0.0.0.0 80',
  'x',
];
const GROUP =
  'virtual_server_group G {\n10.9.0.1-3 80\n10.9.1.0/30\n2001:db8:9::1-2 80\nfwmark 9\nfwmark 8 inet6\nbad\n}\n';

function randomConfig(random: Random): string {
  const pick = <T>(values: readonly T[]) => values[random.below(values.length)]!;
  const some = (words: readonly string[], numbered: readonly string[], most: number) =>
    random.several(most, () =>
      random.below(2) === 0 ? pick(words) : `${pick(numbered)} ${pick(VALUES)}`,
    );
  const block = (head: string, body: readonly string[]) => [`${head} {`, ...body, '}'];
  const checker = () => block(pick(CHECKERS), some(CHECKER_STATEMENTS, CHECKER_NUMBERED, 4));
  const real = () =>
    block(`real_server ${pick(REAL_PLACES)}`, [
      ...some(REAL_STATEMENTS, REAL_NUMBERED, 3),
      ...Array.from({ length: random.below(3) }, checker).flat(),
    ]);
  const server = () =>
    block(`virtual_server ${pick(PLACES)}`, [
      ...some(SERVER_STATEMENTS, NUMBERED, 5),
      ...Array.from({ length: random.below(4) }, real).flat(),
    ]);
  const servers = Array.from({ length: 1 + random.below(5) }, server).flat();
  return [GROUP, 'track_file f {\nfile /run/f\n}', ...servers, ''].join('\n');
}

test(`random configurations: what is written is a configuration, and says the same (seed ${SEED})`, () => {
  const random = new Random(SEED);
  for (let round = 0; round < 250; round++) {
    const text = randomConfig(random);
    const result = outcome(text);
    if (!result.ok) throw new Error(`${JSON.stringify(result.errors)}\n${text}`);
    const parsed = parseConfig(result.yaml, 'x');
    if (!parsed.ok) throw new Error(`${JSON.stringify(parsed.errors)}\n${text}`);
    expect(parsed.config.services.length).toBe(result.config.services.length);
    for (const { line } of result.notes) {
      expect(line, text).toBeGreaterThanOrEqual(1);
      expect(line, text).toBeLessThanOrEqual(text.split('\n').length);
    }
  }
});

test(`random damage: a configuration or errors with lines, and never more (seed ${SEED})`, () => {
  const random = new Random(SEED);
  const source = `$A=1\n~SEQ(N, 1, 2) include x\${N}\n${virtualServer('quorum_up "/x \'a\'"', 'HTTP_GET {\nurl {\npath /\n}\n}')}`;
  const junk = [
    '{',
    '}',
    '"',
    "'",
    '\\',
    '$A',
    '~LST(',
    '@x ',
    '#',
    '!',
    '\n',
    ' ',
    '\0',
    '${A',
    'é',
  ];
  for (let round = 0; round < 1_000; round++) {
    let text = source;
    for (let count = 0; count <= random.below(4); count++) {
      const at = random.below(text.length);
      const piece = junk[random.below(junk.length)]!;
      text = text.slice(0, at) + piece + text.slice(at + random.below(6));
    }
    const result = outcome(text);
    const places = result.ok ? result.notes : result.errors;
    if (!result.ok) expect(places.length, text).toBeGreaterThan(0);
    for (const { line } of places) expect(line).toBeLessThanOrEqual(text.split('\n').length);
  }
});

test('ten thousand virtual servers: imported within seconds', () => {
  const lines = Array.from({ length: 10_000 }, (_, index) => {
    const place = `10.${index >> 8}.${index & 255}.1`;
    return `virtual_server ${place} 80 {\nprotocol TCP\nreal_server ${place} 8080 {\nTCP_CHECK {\n}\n}\n}\n`;
  });
  const result = outcome(lines.join(''));
  expect(result.ok && result.config.services.length).toBe(10_000);
});
