import { describe, expect, test } from 'vitest';
import { imported, notesOf, virtualServer, yamlOf } from './support.ts';

const TIMES = {
  interval: 60_000,
  timeout: 5_000,
  rise: 1,
  fall: 2,
  retryDelay: 1_000,
  jitter: 0,
  warmUp: 60_000,
};

/** The checks of the only server, with whatever was not expressed. */
function checksOf(realStatements: string, statements = '', root = '') {
  const result = imported(root + virtualServer(statements, realStatements));
  return { checks: result.config.services[0]!.servers[0]!.checks, notes: notesOf(result) };
}

/** The same where there is one check at most. */
function checkOf(realStatements: string, statements = '', root = '') {
  const { checks, notes } = checksOf(realStatements, statements, root);
  expect(checks.length).toBeLessThanOrEqual(1);
  return { check: checks[0], notes };
}

describe('what keepalived does when nothing is said', () => {
  test.each([
    ['TCP_CHECK {\n}', { type: 'tcp', ...TIMES }],
    ['PING_CHECK {\n}', { type: 'icmp', ...TIMES }],
    ['UDP_CHECK {\n}', { type: 'udp', ...TIMES }],
    ['SMTP_CHECK {\n}', { type: 'smtp', helo: 'smtpchecker.keepalived.org', ...TIMES }],
    [
      'DNS_CHECK {\n}',
      { type: 'dns', name: '.', record: 'SOA', ...TIMES, fall: 4, retryDelay: 60_000 },
    ],
    [
      'MISC_CHECK {\nmisc_path /bin/x\n}',
      { type: 'command', command: ['/bin/x'], ...TIMES, timeout: 60_000, fall: 1 },
    ],
    ['HTTP_GET {\nurl {\npath /\n}\n}', { type: 'http', path: '/', ...TIMES, retryDelay: 3_000 }],
    ['SSL_GET {\nurl {\npath /\n}\n}', { type: 'https', path: '/', ...TIMES, retryDelay: 3_000 }],
  ])('%j', (statements, expected) => {
    const { check, notes } = checkOf(statements);
    expect(check).toEqual(expected);
    expect(notes).toEqual([]);
  });

  test('no checker: no check', () => {
    expect(checkOf('weight 1')).toEqual({ check: undefined, notes: [] });
  });
});

test('times: the innermost block says them', () => {
  const outer = 'delay_loop 10\nretry 5\nconnect_timeout 1\nwarmup 0\nalpha\ndelay_before_retry 2';
  expect(checkOf('TCP_CHECK {\n}', outer).check).toMatchObject({
    interval: 10_000,
    timeout: 1_000,
    fall: 6,
    retryDelay: 2_000,
    warmUp: 0,
    alpha: true,
  });
  const inner = 'retry 3\nalpha off\nTCP_CHECK {\nretry 0\nconnect_timeout 0.25\n}';
  const { check } = checkOf(inner, outer);
  expect(check).toMatchObject({ interval: 10_000, timeout: 250, fall: 1 });
  expect(check).not.toHaveProperty('alpha');
});

test('times that WVS does not have: the nearest ones, and a report', () => {
  const { check, notes } = checkOf(
    'TCP_CHECK {\ndelay_loop 0.01\nretry 5000\nconnect_timeout 0.001\n}',
  );
  expect(check).toMatchObject({ interval: 100, timeout: 10, fall: 1_000 });
  expect(notes).toEqual([
    '5: retry is 999, the most that WVS has',
    '5: delay_loop is 100ms, the nearest that WVS has',
    '5: the timeout is 10ms, the nearest that WVS has',
  ]);
});

test('connections: another address and port, where from; the rest is reported', () => {
  const { check, notes } = checkOf(
    'TCP_CHECK {\nconnect_ip 10.9.9.9\nconnect_port 99\nbindto 10.0.0.1\nbind_if eth0\nbind_port 7\nfwmark 3\nlog_all_failures\n}',
  );
  expect(check).toMatchObject({
    address: { address: '10.9.9.9' },
    port: 99,
    source: { address: '10.0.0.1' },
  });
  expect(notes.map((note) => note.replace(/ is.*/, ''))).toEqual([
    '9: bind_if',
    '10: bind_port',
    '11: fwmark',
    '12: log_all_failures',
  ]);
});

describe('HTTP', () => {
  test('everything a url may have', () => {
    const url = [
      'path /a',
      'digest 9b3a0c85a887a256d6939da88aabd8cd',
      'status_code 200-299 400 503-504',
      'virtualhost www.example.com',
      'regex "a \\\\d+"',
      'regex_options utf',
    ];
    const { check, notes } = checkOf(`HTTP_GET {\nurl {\n${url.join('\n')}\n}\nnb_get_retry 4\n}`);
    expect(check).toMatchObject({
      type: 'http',
      path: '/a',
      host: 'www.example.com',
      digest: '9b3a0c85a887a256d6939da88aabd8cd',
      status: [
        { first: 200, last: 299 },
        { first: 400, last: 400 },
        { first: 503, last: 504 },
      ],
      body: 'a \\d+',
      fall: 5,
    });
    expect(notes).toEqual([]);
  });

  test('the virtual host: of the url, the checker, the real server, the virtual server', () => {
    const get = 'HTTP_GET {\nurl {\npath /\n}\n}';
    const own = 'HTTP_GET {\nvirtualhost checker\nurl {\npath /\nvirtualhost url\n}\n}';
    expect(checkOf(own, 'virtualhost vs').check).toMatchObject({ host: 'url' });
    const outer = own.replace('virtualhost url\n', '');
    expect(checkOf(outer, 'virtualhost vs').check).toMatchObject({ host: 'checker' });
    expect(checkOf(get, 'virtualhost vs').check).toMatchObject({ host: 'vs' });
    expect(checkOf(`virtualhost rs\n${get}`, 'virtualhost vs').check).toMatchObject({ host: 'rs' });
  });

  test('TLS: the name that is asked for, the certificate that is shown', () => {
    const root = 'SSL {\ncertificate /c.pem\nkey /k.pem\nca /a.pem\npassword x\n}\n';
    const { check, notes } = checkOf(
      'SSL_GET {\nenable_sni\nurl {\npath /\nvirtualhost w\n}\n}',
      '',
      root,
    );
    expect(check).toMatchObject({
      type: 'https',
      sni: 'w',
      host: 'w',
      certificate: '/c.pem',
      key: '/k.pem',
    });
    expect(notes.map((note) => note.replace(/ is left.*/, ''))).toEqual(['4: ca', '5: password']);
  });

  test.each([
    ['url {\n}', '6: this url is left out: it has no path'],
    [
      'url {\npath /\nstatus_code 700 200\n}',
      '8: status_code: expected codes from 100 to 599, got "700"',
    ],
    ['url {\npath /\ndigest xyz\n}', '8: digest: expected 32 hexadecimal digits, got "xyz"'],
    ['url {\npath /\nregex (\n}', '8: regex is left out: WVS does not understand "("'],
    [
      'url {\npath /\nregex a\nregex_options caseless firstline\n}',
      '8: regex is left out: WVS has no option firstline for it',
    ],
    ['url {\npath a\n}', '7: path is taken as /a: a path starts with "/"'],
    ['url {\npath /\nregex_stack 1 2\n}', '8: regex_stack is left out: WVS has no such limit'],
    [
      'http_protocol 1.0C\nurl {\npath /\n}',
      '6: http_protocol is left out: WVS asks with HTTP 1.1',
    ],
    ['http_protocol 2\nurl {\npath /\n}', '6: http_protocol: expected 1.0, 1.0C or 1.1, got "2"'],
  ])('%j: %s', (statements, note) => {
    expect(checkOf(`HTTP_GET {\n${statements}\n}`).notes).toContain(note);
  });

  test('several urls → a check for each of them', () => {
    const { checks, notes } = checksOf(
      'HTTP_GET {\nfast_recovery\nurl {\npath /a\n}\nurl {\npath /b\nstatus_code 404\n}\n}',
    );
    expect(checks).toMatchObject([
      { type: 'http', path: '/a', interval: 60_000, fall: 2 },
      { type: 'http', path: '/b', status: [{ first: 404, last: 404 }], interval: 60_000 },
    ]);
    expect(notes).toEqual([]);
  });

  test('HTTP 1.1 is what WVS asks with', () => {
    expect(checkOf('HTTP_GET {\nhttp_protocol 1.1\nurl {\npath /\n}\n}').notes).toEqual([]);
  });

  test('enable_sni may be off', () => {
    const get = 'SSL_GET {\nenable_sni off\nurl {\npath /\nvirtualhost w\n}\n}';
    expect(checkOf(get).check).not.toHaveProperty('sni');
  });

  test('a regular expression in either case', () => {
    const regex = 'regex "Ok$"\nregex_options caseless';
    const { check, notes } = checkOf(`HTTP_GET {\nurl {\npath /\n${regex}\n}\n}`);
    expect(check).toMatchObject({ body: 'Ok(?![^\\n]|\\n[^])', bodyFlags: 'i' });
    expect(notes).toEqual([]);
  });

  test('a body that must not match', () => {
    const { check } = checkOf('HTTP_GET {\nurl {\npath /\nregex bad\nregex_no_match\n}\n}');
    expect(check).toMatchObject({ bodyNot: 'bad' });
    expect(check).not.toHaveProperty('body');
  });
});

test('SMTP: a name, and a check for each of the addresses of older configurations', () => {
  const hosts = 'host {\nconnect_ip 10.9.9.9\nconnect_port 26\n}\nhost {\nconnect_ip 10.9.9.8\n}';
  const { checks, notes } = checksOf(`SMTP_CHECK {\nhelo_name "me.example"\n${hosts}\n}`);
  expect(checks).toMatchObject([
    { type: 'smtp', helo: 'me.example', address: { address: '10.9.9.9' }, port: 26 },
    { type: 'smtp', helo: 'me.example', address: { address: '10.9.9.8' } },
  ]);
  expect(notes).toEqual([]);
});

test('DNS: a name and a record; others than WVS has are reported', () => {
  const { check, notes } = checkOf('DNS_CHECK {\ntype mx\nname example.com\ntype RRSIG\n}');
  expect(check).toMatchObject({ name: 'example.com', record: 'MX' });
  expect(notes).toEqual(['8: type: WVS asks for MX, not for "RRSIG"']);
});

describe('UDP', () => {
  test("bytes in keepalived's free spelling", () => {
    const { check } = checkOf('UDP_CHECK {\npayload Ab12f 3 456 546443123\n}');
    expect(check).toMatchObject({ sendHex: 'ab120f034506546443120' + '3' });
    expect(check).not.toHaveProperty('requireReply');
  });

  test('a reply, with digits that may be anything, and its length', () => {
    const { check, notes } = checkOf('UDP_CHECK {\nrequire_reply 01XXfX\nmin_reply_length 2\n}');
    expect(check).toMatchObject({
      requireReply: true,
      expectHex: '01xxfx',
      replyMin: 2,
      replyMax: 255,
    });
    expect(notes).toEqual([]);
  });

  test('what is no bytes is reported', () => {
    expect(checkOf('UDP_CHECK {\npayload zz\n}').notes).toEqual([
      '6: payload: expected hexadecimal digits, got "zz"',
    ]);
  });
});

test('a command: its arguments, its timeout, a weight from its exit code', () => {
  const { check, notes } = checkOf(
    `MISC_CHECK {\nmisc_path "/bin/x 'a b' c"\nmisc_timeout 3\nmisc_dynamic\nuser nobody\n}`,
  );
  expect(check).toMatchObject({
    command: ['/bin/x', 'a b', 'c'],
    timeout: 3_000,
    weightFromExitCode: true,
  });
  expect(notes).toEqual(['9: user is left out: WVS runs commands as the user it runs as']);
});

test('a command without a timeout of its own has the delay_loop, which 0 stands for', () => {
  const misc = 'MISC_CHECK {\nmisc_path /bin/x\nmisc_timeout 0\n}';
  const { check, notes } = checkOf(misc, 'delay_loop 7');
  expect(check).toMatchObject({ interval: 7_000, timeout: 7_000 });
  expect(notes).toEqual([]);
});

describe('files', () => {
  const root = 'track_file load {\nfile /run/load\nweight 2\n}\n';

  test.each([
    ['', { means: 'addition', factor: 2 }],
    ['dynamic\n', { means: 'addition', factor: 2 }],
    ['weight 1\n', { means: 'addition' }],
    ['weight -5\n', { means: 'addition', factor: -5 }],
    ['weight 5 reverse\n', { means: 'addition', factor: -5 }],
    ['weight -5 reverse\n', { means: 'addition', factor: 5 }],
    ['weight 0\n', { means: 'failure' }],
    ['weight 0 noreverse\n', { means: 'failure' }],
    ['weight 0 reverse\n', { means: 'success' }],
  ])('FILE_CHECK with %j → %j', (statements, expected) => {
    const file = `FILE_CHECK {\ntrack_file load\n${statements}}`;
    const { check, notes } = checkOf(file, '', root);
    const times = { interval: 1_000, rise: 1, fall: 1, warmUp: 0 };
    expect(check).toMatchObject({ type: 'file', path: '/run/load', ...times, ...expected });
    if (!('factor' in expected)) expect(check).not.toHaveProperty('factor');
    expect(notes).toEqual([]);
  });

  test('a weight that is none, and a file that is not there, are reported', () => {
    const twice = 'FILE_CHECK {\ntrack_file load\nweight 1 2\n}\nFILE_CHECK {\ntrack_file x\n}';
    expect(checkOf(twice, '', root).notes).toEqual([
      '11: weight: expected a number and at most reverse, got "2" behind it',
      '13: FILE_CHECK is left out: it has no file',
      '14: there is no track_file block "x" with a file',
    ]);
  });
});

describe('several checkers of a server', () => {
  const several = 'BFD_CHECK {\nname x\n}\nTCP_CHECK {\n}\nMISC_CHECK {\nmisc_path /x\n}';

  test('all of them, in their order; BFD is reported', () => {
    const { checks, notes } = checksOf(several);
    expect(checks).toMatchObject([{ type: 'tcp' }, { type: 'command', command: ['/x'] }]);
    expect(notes).toEqual(['5: BFD_CHECK is left out: WVS has no BFD']);
  });

  test('the file has a list, once for all servers that have the same', () => {
    const other = virtualServer('', `${several}\n}\nreal_server 10.0.0.12 80 {\n${several}`);
    const yaml = yamlOf(imported(other));
    expect(yaml.match(/ check:/g)).toHaveLength(1);
    expect(yaml).toContain('    check:\n      - type: tcp\n');
    expect(yaml).toContain('        command: [ /x ]\n');
  });
});
