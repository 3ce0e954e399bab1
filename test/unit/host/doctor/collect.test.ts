// Collectors over files that are as the kernel writes them, absent, or nonsense.

import { describe, expect, test } from 'vitest';
import {
  collectAfXdp,
  collectAvailableBytes,
  collectCapabilities,
  collectCpus,
  collectHugePages,
  collectKernelServices,
  collectLockableBytes,
} from '../../../../host/doctor/collect-machine.ts';
import {
  collectCandidates,
  collectDriver,
  collectSetting,
} from '../../../../host/doctor/collect-ports.ts';
import { readNumber, SYSTEM, type System } from '../../../../host/doctor/system.ts';

/** A machine of a few files. */
function machine(
  files: Readonly<Record<string, string>>,
  links: Record<string, string> = {},
): System {
  return {
    read: (path) => files[path]?.trim(),
    link: (path) => links[path],
    list: (path) => {
      const below = Object.keys(files).filter((file) => file.startsWith(`${path}/`));
      return [...new Set(below.map((file) => file.slice(path.length + 1).split('/')[0]!))];
    },
  };
}

const NOTHING = machine({});

describe('facts from files', () => {
  test('nothing can be read: nothing is known', () => {
    expect(collectCapabilities(NOTHING)).toBeUndefined();
    expect(collectLockableBytes(NOTHING)).toBeUndefined();
    expect(collectAvailableBytes(NOTHING)).toBeUndefined();
    expect(collectAfXdp(NOTHING)).toBeUndefined();
    expect(collectHugePages(NOTHING)).toBeUndefined();
    expect(collectKernelServices(NOTHING)).toBe(0);
    expect(collectCpus(NOTHING)).toBe(1);
    expect(collectSetting(NOTHING, 'eth0', 'rp_filter')).toBeUndefined();
    expect(collectCandidates(NOTHING)).toEqual([]);
  });

  test('capabilities and CPUs of /proc/self/status', () => {
    const status = 'Name:\tnode\nCapEff:\t0000008000003000\nCpus_allowed_list:\t0-2,5\n';
    const system = machine({ '/proc/self/status': status });
    expect(collectCapabilities(system)).toBe((1n << 39n) | (1n << 13n) | (1n << 12n));
    expect(collectCpus(system)).toBe(4);
  });

  test.each([
    ['8388608', 8_388_608],
    ['unlimited', Number.POSITIVE_INFINITY],
  ])('the limit of locked memory %s', (text, bytes) => {
    const limits = `Limit   Soft Limit   Hard Limit   Units\nMax locked memory   ${text}   1   bytes\n`;
    expect(collectLockableBytes(machine({ '/proc/self/limits': limits }))).toBe(bytes);
  });

  test('available memory is that of the control group when it has less', () => {
    const meminfo = { '/proc/meminfo': 'MemTotal: 9 kB\nMemAvailable:    4096 kB\n' };
    expect(collectAvailableBytes(machine(meminfo))).toBe(4096 * 1024);
    const limits = { '/sys/fs/cgroup/memory.max': '3000000', '/sys/fs/cgroup/memory.current': '1' };
    expect(collectAvailableBytes(machine({ ...meminfo, ...limits }))).toBe(2_999_999);
    const none = { ...limits, '/sys/fs/cgroup/memory.max': 'max' };
    expect(collectAvailableBytes(machine({ ...meminfo, ...none }))).toBe(4096 * 1024);
  });

  test('AF_XDP, huge pages, services of the kernel', () => {
    const table =
      'IP Virtual Server version 1.2.1 (size=4096)\nTCP  C0000250:0050 rr\n  -> X\nFWM  1';
    const system = machine({
      '/proc/net/protocols': 'protocol  size\nXDP   1088  0\nTCP 2000 1\n',
      '/sys/kernel/mm/transparent_hugepage/shmem_enabled': 'always advise [never] deny force',
      '/proc/net/ip_vs': table,
    });
    expect(collectAfXdp(system)).toBe(true);
    expect(collectHugePages(system)).toBe('never');
    expect(collectKernelServices(system)).toBe(2);
  });

  test('a setting is the larger one of all and the interface', () => {
    const system = machine({
      '/proc/sys/net/ipv4/conf/all/rp_filter': '2',
      '/proc/sys/net/ipv4/conf/eth0/rp_filter': '1',
    });
    expect(collectSetting(system, 'eth0', 'rp_filter')).toBe(2);
    expect(collectSetting(system, 'eth1', 'rp_filter')).toBe(2);
  });

  test('candidates are Ethernet and not down', () => {
    const system = machine({
      '/sys/class/net/lo/type': '772',
      '/sys/class/net/eth0/type': '1',
      '/sys/class/net/eth0/operstate': 'up',
      '/sys/class/net/eth1/type': '1',
      '/sys/class/net/eth1/operstate': 'down',
    });
    expect(collectCandidates(system)).toEqual(['eth0']);
  });

  test('the driver is the kind of a link, or what sysfs points to', () => {
    const link = '/sys/class/net/eth0/device/driver';
    const system = machine({}, { [link]: 'ice' });
    expect(collectDriver(system, { name: 'eth0', kind: null })).toBe('ice');
    expect(collectDriver(system, { name: 'eth0', kind: 'veth' })).toBe('veth');
    expect(collectDriver(system, { name: 'eth1', kind: null })).toBeUndefined();
  });
});

describe('the machine this runs on', () => {
  test('what is not there is undefined, not an error', () => {
    expect(SYSTEM.read('/nowhere')).toBeUndefined();
    expect(SYSTEM.link('/nowhere')).toBeUndefined();
    expect(SYSTEM.list('/nowhere')).toEqual([]);
    expect(readNumber(SYSTEM, '/proc/version')).toBeUndefined();
  });
});
