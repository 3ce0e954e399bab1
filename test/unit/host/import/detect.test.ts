// biome-ignore-all lint/suspicious/noTemplateCurlyInString: keepalived's parameters look like this.
import { expect, test } from 'vitest';
import { detectKind, isOwnConfig } from '../../../../host/import/detect.ts';

test.each([
  ['! Configuration File for keepalived\n\nglobal_defs {\n}\n', 'keepalived'],
  ['virtual_server 192.0.2.1 80 {\n}\n', 'keepalived'],
  ['\n  virtual_server_group G\n{\n', 'keepalived'],
  ['@high net_namespace high\n', 'keepalived'],
  ['include /etc/keepalived/conf.d/*.conf\n', 'keepalived'],
  ['$VIP=192.0.2.1\n', 'keepalived'],
  ['~SEQ(N, 1, 3) virtual_server 10.0.0.${N} 80 {\n', 'keepalived'],
  ['# comment\n-A -t 192.0.2.1:80 -s rr\n', 'rules'],
  ['ipvsadm -A -t 192.0.2.1:80\n', 'rules'],
  ['-A -f 1 -s rr\n', 'rules'],
  ['-C\n', 'rules'],
  ['*mangle\n:PREROUTING ACCEPT [0:0]\n', 'rules'],
  ['#!/bin/sh\niptables -t mangle -F PREROUTING\n', 'rules'],
  ['version: 1\ndirector: {}\n', undefined],
  ['# virtual_server\nversion: 1\nservices:\n  - listen: 1\n', undefined],
  ['services:\n  - name: virtual_server\n', undefined],
  ['{ "version": 1 }', undefined],
  ['', undefined],
])('%j is of the kind %s', (text, kind) => {
  expect(detectKind(text)).toBe(kind);
});

test('a configuration of WVS, even a wrong one, is its own kind', () => {
  expect(isOwnConfig('version: 2\n')).toBe(true);
  expect(isOwnConfig('virtual_server 1 {\n')).toBe(false);
});
