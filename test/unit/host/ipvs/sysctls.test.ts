import { describe, expect, it } from 'vitest';
import {
  SYSCTL_AM_DROPRATE,
  SYSCTL_LBLC_EXPIRATION,
  SYSCTL_PMTU_DISC,
} from '../../../../assembly/shared/layout.ts';
import { Sysctls } from '../../../../host/ipvs/sysctls.ts';
import { codeOf } from './control-fixture.ts';

it('names and defaults are the kernel 6.1 ones', () => {
  const sysctls = new Sysctls();
  const listed = Sysctls.names().map((name) => `${name} = ${sysctls.text(name)}`);
  expect(listed).toEqual([
    'am_droprate = 10',
    'amemthresh = 1024',
    'backup_only = 0',
    'cache_bypass = 0',
    'conn_reuse_mode = 1',
    'conntrack = 0',
    'debug_level = 0',
    'drop_entry = 0',
    'drop_packet = 0',
    'expire_nodest_conn = 0',
    'expire_quiescent_template = 0',
    'ignore_tunneled = 0',
    'lblc_expiration = 86400',
    'lblcr_expiration = 86400',
    'nat_icmp_send = 0',
    'pmtu_disc = 1',
    'run_estimation = 1',
    'schedule_icmp = 0',
    'secure_tcp = 0',
    'sloppy_sctp = 0',
    'sloppy_tcp = 0',
    'snat_reroute = 1',
    'sync_persist_mode = 0',
    'sync_ports = 1',
    'sync_qlen_max = 1881',
    'sync_refresh_period = 0',
    'sync_retries = 0',
    'sync_sock_size = 0',
    'sync_threshold = 3\t50',
    'sync_version = 1',
  ]);
});

describe('written', () => {
  const cases: [name: string, value: string, result: string][] = [
    ['cache_bypass', '1', '1'],
    ['cache_bypass', ' 7 ', '7'],
    ['cache_bypass', '-1', '-1'],
    ['cache_bypass', '0x10', '16'],
    ['cache_bypass', '010', '8'],
    ['cache_bypass', '1 2', '1'],
    ['cache_bypass', '2147483648', 'EINVAL'],
    ['cache_bypass', '1x', 'EINVAL'],
    ['cache_bypass', '', 'EINVAL'],
    ['drop_entry', '3', '3'],
    ['drop_entry', '4', 'EINVAL'],
    ['drop_packet', '-1', 'EINVAL'],
    ['sync_version', '2', 'EINVAL'],
    ['sync_ports', '8', '8'],
    ['sync_ports', '3', 'EINVAL'],
    ['sync_ports', '0', 'EINVAL'],
    ['sync_retries', '3', '3'],
    ['sync_retries', '4', 'EINVAL'],
    ['sync_threshold', '5 10', '5\t10'],
    ['sync_threshold', '5\t0', '5\t0'],
    ['sync_threshold', '50', 'EINVAL'],
    ['sync_threshold', '9 9', 'EINVAL'],
    ['sync_threshold', '7', '7\t50'],
    ['lblc_expiration', '21474836', '21474836'],
    ['lblc_expiration', '21474837', 'EINVAL'],
    ['nosuch', '1', 'ENOENT'],
  ];
  for (const [name, value, result] of cases) {
    it(`${name}=${JSON.stringify(value)}: ${JSON.stringify(result)}`, () => {
      const sysctls = new Sysctls();
      const code = codeOf(() => sysctls.write(name, value));
      expect(code === '' ? sysctls.text(name) : code).toBe(result);
    });
  }

  it('says whether the value is another', () => {
    const sysctls = new Sysctls();
    expect(sysctls.write('pmtu_disc', '1')).toBe(false);
    expect(sysctls.write('pmtu_disc', '0')).toBe(true);
  });
});

it('words for the data plane: seconds become ticks', () => {
  const words = new Sysctls().words();
  expect(words.get(SYSCTL_PMTU_DISC)).toBe(1);
  expect(words.get(SYSCTL_AM_DROPRATE)).toBe(10);
  expect(words.get(SYSCTL_LBLC_EXPIRATION)).toBe(8_640_000);
});
