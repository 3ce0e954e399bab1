import type { InterfaceInfo } from 'af-xdp-socket';
import { describe, expect, test } from 'vitest';
import type { DirectorConfig, PortConfig } from '../../../../host/config/types.ts';
import {
  countWorkers,
  dealQueues,
  type Port,
  resolvePorts,
} from '../../../../host/director/ports.ts';

function info(name: string, fields: Partial<InterfaceInfo> = {}): InterfaceInfo {
  return {
    name,
    index: 7,
    mac: '02:00:00:00:00:01',
    mtu: 1500,
    flags: 1,
    up: true,
    rxQueues: 4,
    txQueues: 4,
    combinedQueues: 4,
    kind: null,
    xdp: null,
    ...fields,
  };
}

function config(ports: Partial<PortConfig>[], workers: number | 'auto' = 'auto'): DirectorConfig {
  const all = ports.map((port, index) => ({
    name: `p${index}`,
    interface: `eth${index}`,
    queues: undefined,
    xdp: 'auto',
    zeroCopy: 'auto',
    ...port,
  }));
  return { ports: all, workers } as unknown as DirectorConfig;
}

const resolve = (fields: Partial<InterfaceInfo>, port: Partial<PortConfig> = {}) =>
  resolvePorts(config([port]), (name) => info(name, fields));

describe('interfaces', () => {
  test('nothing said about queues: all that serve both ways', () => {
    expect(resolve({ rxQueues: 8, txQueues: 2 })[0]).toMatchObject({ index: 0, queues: 2 });
  });

  test('fewer queues than there are: as said', () => {
    expect(resolve({}, { queues: 3 })[0]?.queues).toBe(3);
  });

  test.each([
    ['more queues than there are', {}, { queues: 5 }, /5 queues .* has 4/],
    ['no Ethernet', { mac: null }, {}, /no Ethernet interface/],
    ['down', { up: false }, {}, /is down: run ip link set eth0 up/],
    ['an MTU beyond a frame', { mtu: 9000 }, {}, /has MTU 9000, .* at most 1774 fit/],
  ] as const)('%s: one sentence', (_, fields, port, sentence) => {
    expect(() => resolve(fields, port)).toThrow(sentence);
  });

  test('no such interface: the sentence names port and interface', () => {
    const lookUp = () => {
      throw new Error('ENODEV: There is no interface eth0 in this network namespace.');
    };
    expect(() => resolvePorts(config([{ name: 'wan' }]), lookUp)).toThrow(
      /^port wan \(interface eth0\): .*There is no interface eth0/,
    );
  });
});

describe('workers and queues', () => {
  const ports = (...queues: number[]) =>
    queues.map((count, index) => ({ index, queues: count, config: { name: `p${index}` } }) as Port);

  test('auto: as many as the narrowest port has queues', () => {
    expect(countWorkers(config([{}, {}]), ports(4, 2))).toBe(2);
  });

  test('fewer than queues: as said', () => {
    expect(countWorkers(config([{}], 1), ports(4))).toBe(1);
  });

  test('more than queues: one sentence that names the port', () => {
    expect(() => countWorkers(config([{}, {}], 3), ports(4, 2))).toThrow(
      '3 workers are configured, but port p1 has only 2 queues',
    );
  });

  test('as many workers as queues: each has its queue of every port', () => {
    const plans = dealQueues(ports(2, 2), 2);
    expect(plans.map((plan) => plan.map(({ port, queue }) => [port.index, queue]))).toEqual([
      [
        [0, 0],
        [1, 0],
      ],
      [
        [0, 1],
        [1, 1],
      ],
    ]);
  });

  test('a port with more queues than workers: dealt out in turn', () => {
    const plans = dealQueues(ports(4, 2), 2);
    expect(plans.map((plan) => plan.map(({ port, queue }) => `${port.index}.${queue}`))).toEqual([
      ['0.0', '0.2', '1.0'],
      ['0.1', '0.3', '1.1'],
    ]);
  });

  test('too many queues for one worker: one sentence', () => {
    expect(() => dealQueues(ports(33), 1)).toThrow(/33 queues fall to one worker/);
  });
});
