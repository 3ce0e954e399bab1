import { beforeEach, describe, expect, it } from 'vitest';
import {
  DESTINATION_AVAILABLE,
  DESTINATION_OVERLOAD,
  FORWARD_DIRECT_ROUTE,
  FORWARD_NAT,
  FORWARD_TUNNEL,
  SERVICE_ENGINE_SIP,
  SERVICE_PERSISTENT,
  TCP_ESTABLISHED,
  TCP_FIN_WAIT,
} from '../../../../assembly/shared/codes.ts';
import {
  BANK_TIMEOUT_TCP,
  BANK_TIMEOUT_UDP,
  CONTROL_DROP_RATE,
  CONTROL_REQUESTS,
  DESTINATION_LAST_WEIGHT,
  DESTINATION_PROTOCOL,
  DESTINATION_SERVICE,
  DESTINATION_STATE_ACTIVE,
  DESTINATION_STATE_FLAGS,
  REQUEST_DROP_ENTRIES,
  REQUEST_EXPIRE_UNAVAILABLE,
  SERVICE_DESTINATION_COUNT,
  SERVICE_FAMILY,
  SERVICE_FLAGS,
  SERVICE_PROTOCOL,
  SERVICE_SCHEDULER_SLOTS,
  STATS_CONNECTIONS,
  STATS_IN_PACKETS,
  SYSCTL_CONN_REUSE_MODE,
  SYSCTL_SECURE_TCP,
  SYSCTL_UNPRIVILEGED_PORT,
} from '../../../../assembly/shared/layout.ts';
import type { ControlChange } from '../../../../host/ipvs/control.ts';
import type { DestinationOptions, IpvsErrorCode, ServiceKey } from '../../../../host/ipvs/types.ts';
import {
  codeOf,
  Fixture,
  MARK,
  OPTIONS,
  OPTIONS6,
  SERVER,
  server,
  WEB,
  WEB6,
} from './control-fixture.ts';

let fixture: Fixture;
beforeEach(() => {
  fixture = new Fixture();
});

/** A word of a service's record in the published bank. */
function serviceWord(key: ServiceKey, field: number): number {
  const { memory, control } = fixture;
  const id = control.service(key)!.id;
  return memory.u32[(memory.service(memory.activeBank(), id) + field) >>> 2];
}

function destinationWord(id: number, field: number): number {
  const { memory } = fixture;
  return memory.u32[(memory.destination(memory.activeBank(), id) + field) >>> 2];
}

function stateFlags(id: number): number {
  const { memory } = fixture;
  return memory.u32[(memory.destinationState(id) + DESTINATION_STATE_FLAGS) >>> 2];
}

describe('services: errors', () => {
  const unknown = { ...OPTIONS, scheduler: 'nosuch' };
  const cases: [title: string, run: () => void, code: IpvsErrorCode][] = [
    ['added twice', () => fixture.control.addService(WEB, OPTIONS), 'EEXIST'],
    ['added twice, unknown scheduler', () => fixture.control.addService(WEB, unknown), 'EEXIST'],
    ['added with an unknown scheduler', () => fixture.control.addService(MARK, unknown), 'ENOENT'],
    [
      'added with an unknown engine',
      () => fixture.control.addService(MARK, { ...OPTIONS, engine: 'nosuch' }),
      'ENOENT',
    ],
    [
      'IPv6 with prefix length 129',
      () => fixture.control.addService(WEB6, { ...OPTIONS, persistenceMask: '129' }),
      'EINVAL',
    ],
    [
      'IPv6 with prefix length 0',
      () => fixture.control.addService(WEB6, { ...OPTIONS, persistenceMask: '0' }),
      'EINVAL',
    ],
    ['mark 0', () => fixture.control.addService({ family: 4, mark: 0 }, OPTIONS), 'EINVAL'],
    [
      'an address of the other family',
      () => fixture.control.addService({ ...WEB, address: '::1' }, OPTIONS),
      'EINVAL',
    ],
    ['edited, unknown', () => fixture.control.editService(MARK, OPTIONS), 'ESRCH'],
    ['edited, unknown scheduler', () => fixture.control.editService(WEB, unknown), 'ENOENT'],
    ['deleted, unknown', () => fixture.control.deleteService(MARK), 'ESRCH'],
    ['zeroed, unknown', () => fixture.control.zero(MARK), 'ESRCH'],
    [
      'unknown, given a destination',
      () => fixture.control.addDestination(MARK, server(1), SERVER),
      'ESRCH',
    ],
  ];
  for (const [title, run, code] of cases) {
    it(`${title}: ${code}`, () => {
      fixture.control.addService(WEB, OPTIONS);
      expect(codeOf(run)).toBe(code);
    });
  }

  it('more than fit: ENOMEM', () => {
    for (let port = 1; port <= 32; port++) fixture.control.addService({ ...WEB, port }, OPTIONS);
    expect(codeOf(() => fixture.control.addService(WEB, OPTIONS))).toBe('ENOMEM');
    fixture.control.deleteService({ ...WEB, port: 7 });
    fixture.control.addService(WEB, OPTIONS);
    expect(fixture.control.services()).toHaveLength(32);
  });
});

describe('services', () => {
  it('added: published, listed as given', () => {
    fixture.control.addService(WEB6, { ...OPTIONS6, flags: SERVICE_PERSISTENT, engine: 'sip' });
    expect(serviceWord(WEB6, SERVICE_FLAGS)).toBe(SERVICE_PERSISTENT | SERVICE_ENGINE_SIP);
    expect(serviceWord(WEB6, SERVICE_FAMILY) & 0xff).toBe(6);
    expect(fixture.control.service(WEB6)).toMatchObject({
      key: WEB6,
      scheduler: 'rr',
      flags: SERVICE_PERSISTENT,
      engine: 'sip',
      destinationCount: 0,
    });
  });

  it('another spelling of the address: the same service', () => {
    fixture.control.addService(WEB6, OPTIONS6);
    const other = { ...WEB6, address: '2001:0db8:0::0080' } as ServiceKey;
    expect(codeOf(() => fixture.control.addService(other, OPTIONS6))).toBe('EEXIST');
    expect(fixture.control.service(other)?.key).toEqual(WEB6);
  });

  it('by mark: protocol 0 in the tables, IPv4 and IPv6 apart', () => {
    fixture.control.addService(MARK, OPTIONS);
    fixture.control.addService({ family: 6, mark: 1 }, OPTIONS6);
    const { memory } = fixture;
    const at = memory.service(memory.activeBank(), fixture.control.service(MARK)!.id);
    expect(memory.u8[at + SERVICE_PROTOCOL]).toBe(0);
    fixture.control.addDestination(MARK, server(1, 0), SERVER);
    expect(destinationWord(fixture.id(MARK, 1), DESTINATION_PROTOCOL) & 0xff).toBe(0);
  });

  it('without a scheduler ("none"): nobody is told', () => {
    fixture.control.addService(WEB, { ...OPTIONS, scheduler: 'none' });
    fixture.control.addDestination(WEB, server(1), SERVER);
    expect(fixture.told()).toEqual([]);
    expect(fixture.control.service(WEB)?.scheduler).toBe('none');
  });

  it('edited to another scheduler: one is unbound, the other bound to the list', () => {
    fixture.control.addService(WEB, OPTIONS);
    fixture.control.addDestination(WEB, server(1), SERVER);
    fixture.control.editService(WEB, { ...OPTIONS, scheduler: 'wlc' });
    expect(fixture.told()).toEqual(['bind - of ', 'add 1 of 1', 'unbind - of 1', 'bind - of 1']);
  });

  it('edited with the same scheduler: the scheduler is not told', () => {
    fixture.control.addService(WEB, OPTIONS);
    fixture.control.editService(WEB, { ...OPTIONS, flags: SERVICE_PERSISTENT });
    expect(fixture.told()).toEqual(['bind - of ']);
    expect(serviceWord(WEB, SERVICE_FLAGS)).toBe(SERVICE_PERSISTENT);
  });

  it('deleted: gone from the tables, its destinations unavailable', () => {
    fixture.control.addService(WEB, OPTIONS);
    fixture.control.addDestination(WEB, server(1), SERVER);
    const id = fixture.id(WEB, 1);
    fixture.control.deleteService(WEB);
    expect(fixture.control.services()).toEqual([]);
    expect(destinationWord(id, DESTINATION_SERVICE)).toBe(0);
    expect(stateFlags(id) & DESTINATION_AVAILABLE).toBe(0);
    expect(fixture.told().at(-1)).toBe('unbind - of 1');
  });

  it('flushed: none is left, one publication', () => {
    fixture.control.addService(WEB, OPTIONS);
    fixture.control.addService(MARK, OPTIONS);
    const before = fixture.memory.generation();
    fixture.control.flush();
    expect(fixture.control.services()).toEqual([]);
    expect(fixture.memory.generation()).toBe(before + 1);
  });

  it('listed: newest first within a bucket, marks last', () => {
    fixture.control.addService(MARK, OPTIONS);
    fixture.control.addService(WEB, OPTIONS);
    fixture.control.addService({ ...WEB, address: '198.51.100.80' }, OPTIONS);
    const listed = fixture.control
      .services()
      .map(({ key }) => ('mark' in key ? 'mark' : key.address));
    expect(listed).toEqual(['198.51.100.80', '192.0.2.80', 'mark']);
  });
});

describe('destinations: errors', () => {
  const cases: [title: string, options: Partial<DestinationOptions>, code: IpvsErrorCode][] = [
    ['weight -1', { weight: -1 }, 'ERANGE'],
    ['weight 2^31', { weight: 2 ** 31 }, 'ERANGE'],
    ['lower above upper threshold', { upperThreshold: 5, lowerThreshold: 9 }, 'ERANGE'],
    ['gue without a port', { forwarding: FORWARD_TUNNEL, tunnelType: 1 }, 'EINVAL'],
  ];
  for (const [title, options, code] of cases) {
    it(`${title}: ${code}, whether added or edited`, () => {
      fixture.control.addService(WEB, OPTIONS);
      const add = () => fixture.control.addDestination(WEB, server(1), { ...SERVER, ...options });
      expect(codeOf(add)).toBe(code);
      fixture.control.addDestination(WEB, server(1), SERVER);
      const edit = () => fixture.control.editDestination(WEB, server(1), { ...SERVER, ...options });
      expect(codeOf(edit)).toBe(code);
    });
  }

  it('added twice: EEXIST; edited or deleted without being there: ENOENT', () => {
    const { control } = fixture;
    control.addService(WEB, OPTIONS);
    control.addDestination(WEB, server(1), SERVER);
    expect(codeOf(() => control.addDestination(WEB, server(1), SERVER))).toBe('EEXIST');
    expect(codeOf(() => control.editDestination(WEB, server(2), SERVER))).toBe('ENOENT');
    expect(codeOf(() => control.deleteDestination(WEB, server(2)))).toBe('ENOENT');
    expect(codeOf(() => control.addDestination(WEB, server(1, 81), SERVER))).toBe('');
  });

  const six = { family: 6, address: '2001:db8::11', port: 80 } as const;
  it.each([
    ['nat', FORWARD_NAT, 'EINVAL'],
    ['direct-route', FORWARD_DIRECT_ROUTE, 'EINVAL'],
    ['tunnel', FORWARD_TUNNEL, ''],
  ] as const)('of the other family by %s: %i %s', (_name, forwarding, code) => {
    fixture.control.addService(WEB, OPTIONS);
    const add = () => fixture.control.addDestination(WEB, six, { ...SERVER, forwarding });
    expect(codeOf(add)).toBe(code);
  });

  it.each(['0.0.0.1', '224.0.0.1', '255.255.255.255', '10.0.0.255'])(
    'IPv4 address %s cannot be reached by unicast: EINVAL',
    (address) => {
      fixture.control.setWorld({
        ports: [],
        addresses: [{ family: 4, address: '10.0.0.1', port: 0, prefixLength: 24 }],
        routes: [],
      });
      fixture.control.addService(WEB, OPTIONS);
      const add = () => fixture.control.addDestination(WEB, { ...server(1), address }, SERVER);
      expect(codeOf(add)).toBe('EINVAL');
    },
  );

  it.each([
    ['::', 'EINVAL'],
    ['ff02::1', 'EINVAL'],
    ['fe80::1', 'EINVAL'],
    ['::ffff:10.0.0.1', 'EINVAL'],
    ['fe80::2', ''],
    ['::1', ''],
    ['2001:db8::1', ''],
  ] as const)('IPv6 address %s: %s', (address, code) => {
    fixture.control.setWorld({
      ports: [],
      addresses: [{ family: 6, address: 'fe80::2', port: 0, prefixLength: 64 }],
      routes: [],
    });
    fixture.control.addService(WEB6, OPTIONS6);
    const add = () => {
      return fixture.control.addDestination(WEB6, { family: 6, address, port: 80 }, SERVER);
    };
    expect(codeOf(add)).toBe(code);
  });
});

describe('destinations', () => {
  beforeEach(() => {
    fixture.control.addService(WEB, OPTIONS);
    for (const number of [1, 2, 3]) fixture.control.addDestination(WEB, server(number), SERVER);
  });

  it('added: at the head of the list, available, published', () => {
    expect(fixture.list(WEB)).toEqual([3, 2, 1]);
    expect(stateFlags(fixture.id(WEB, 3))).toBe(DESTINATION_AVAILABLE);
    expect(serviceWord(WEB, SERVICE_DESTINATION_COUNT)).toBe(3);
    expect(fixture.told().slice(1)).toEqual(['add 1 of 1', 'add 2 of 2,1', 'add 3 of 3,2,1']);
  });

  it('deleted: the scheduler learns where it stood', () => {
    fixture.control.deleteDestination(WEB, server(2));
    expect(fixture.list(WEB)).toEqual([3, 1]);
    expect(fixture.changes.at(-1)).toMatchObject({ kind: 'delete', position: 1 });
    expect(serviceWord(WEB, SERVICE_DESTINATION_COUNT)).toBe(2);
  });

  it('the last weight is the one that was not 0', () => {
    const id = fixture.id(WEB, 2);
    const edit = (weight: number) => {
      fixture.control.editDestination(WEB, server(2), { ...SERVER, weight });
    };
    edit(5);
    edit(0);
    expect(destinationWord(id, DESTINATION_LAST_WEIGHT)).toBe(5);
    expect(fixture.changes.at(-1)?.changed).toMatchObject({ weight: 0, lastWeight: 5 });
    fixture.control.addDestination(WEB, server(9), { ...SERVER, weight: 0 });
    expect(destinationWord(fixture.id(WEB, 9), DESTINATION_LAST_WEIGHT)).toBe(0);
  });

  it.each([
    ['raised', 10, 11, false],
    ['switched off', 10, 0, false],
    ['lowered', 10, 9, true],
    ['left as it is', 10, 10, true],
  ])('upper threshold %s: %i to %i, still overloaded: %s', (_how, from, to, isOverloaded) => {
    const id = fixture.id(WEB, 1);
    fixture.control.editDestination(WEB, server(1), { ...SERVER, upperThreshold: from });
    fixture.addToState(id, DESTINATION_STATE_FLAGS, DESTINATION_OVERLOAD);
    fixture.control.editDestination(WEB, server(1), { ...SERVER, upperThreshold: to });
    expect((stateFlags(id) & DESTINATION_OVERLOAD) !== 0).toBe(isOverloaded);
  });

  it('listed with its connections', () => {
    fixture.addToState(fixture.id(WEB, 1), DESTINATION_STATE_ACTIVE, 4);
    expect(fixture.control.destinations(WEB).at(-1)).toMatchObject({ activeConnections: 4 });
  });
});

describe('the trash', () => {
  /** As workers do: a connection, one packet. */
  function useConnection(id: number): void {
    const { memory } = fixture;
    memory.u64[(memory.destinationStatistics(1, id) + STATS_CONNECTIONS) >>> 3] += 1n;
    memory.u64[(memory.destinationStatistics(0, id) + STATS_IN_PACKETS) >>> 3] += 1n;
  }

  beforeEach(() => {
    fixture.control.addService(WEB, OPTIONS);
    fixture.control.addDestination(WEB, server(1), SERVER);
  });

  it('deleted and added again: the same id, connections and counters go on', () => {
    const id = fixture.id(WEB, 1);
    fixture.refer(id, 1);
    fixture.addToState(id, DESTINATION_STATE_ACTIVE, 1);
    useConnection(id);
    fixture.control.tick(2000);
    fixture.control.deleteDestination(WEB, server(1));
    expect(stateFlags(id)).toBe(0);
    fixture.control.addDestination(WEB, server(1), { ...SERVER, weight: 3 });
    expect(stateFlags(id)).toBe(DESTINATION_AVAILABLE);
    const [entry] = fixture.control.destinations(WEB);
    expect(entry).toMatchObject({ id, weight: 3, activeConnections: 1 });
    expect(entry.statistics.connections).toBe(1n);
  });

  it('the service deleted and made again: the connections go on, the counters start at 0', () => {
    const id = fixture.id(WEB, 1);
    fixture.refer(id, 1);
    useConnection(id);
    fixture.control.tick(2000);
    fixture.control.flush();
    fixture.control.addService(WEB, OPTIONS);
    fixture.control.addDestination(WEB, server(1), SERVER);
    const [entry] = fixture.control.destinations(WEB);
    expect(entry.id).toBe(id);
    expect(entry.statistics.connections).toBe(0n);
    useConnection(id);
    fixture.control.tick(4000);
    expect(fixture.control.destinations(WEB)[0].statistics.connections).toBe(1n);
  });

  it('added at another port or to another service: a new destination', () => {
    const id = fixture.id(WEB, 1);
    fixture.control.deleteDestination(WEB, server(1));
    fixture.control.addDestination(WEB, server(1, 81), SERVER);
    expect(fixture.id(WEB, 1)).not.toBe(id);
    fixture.control.addService(MARK, OPTIONS);
    fixture.control.addDestination(MARK, server(1), SERVER);
    expect(fixture.id(MARK, 1)).not.toBe(id);
  });

  it('without references: idle at the first look, gone at the third', () => {
    const id = fixture.id(WEB, 1);
    fixture.control.deleteDestination(WEB, server(1));
    fixture.control.tick(60_000);
    fixture.control.tick(179_990);
    expect(fixture.control.destinationById(id)).toBeDefined();
    fixture.control.tick(180_000);
    expect(fixture.control.destinationById(id)).toBeUndefined();
    expect(destinationWord(id, 0)).toBe(0);
  });

  it('with references: stays; the idle time counts from when the last one is gone', () => {
    const id = fixture.id(WEB, 1);
    fixture.refer(id, 1);
    fixture.control.deleteDestination(WEB, server(1));
    fixture.control.tick(1_000_000);
    fixture.refer(id, -1);
    fixture.control.tick(1_020_000);
    fixture.control.tick(1_139_990);
    expect(fixture.control.destinationById(id)).toBeDefined();
    fixture.control.tick(1_140_000);
    expect(fixture.control.destinationById(id)).toBeUndefined();
  });

  it('an id used again starts with counters at 0', () => {
    const small = new Fixture({}, { destinations: 1 });
    fixture = small;
    small.control.addService(WEB, OPTIONS);
    small.control.addDestination(WEB, server(1), SERVER);
    useConnection(small.id(WEB, 1));
    small.control.deleteDestination(WEB, server(1));
    expect(codeOf(() => small.control.addDestination(WEB, server(2), SERVER))).toBe('ENOMEM');
    small.control.tick(200_000);
    small.control.addDestination(WEB, server(2), SERVER);
    expect(small.id(WEB, 2)).toBe(1);
    useConnection(1);
    small.control.tick(202_000);
    expect(small.control.destinations(WEB)[0].statistics.connections).toBe(1n);
  });

  it('with expire_nodest_conn: connections of removed destinations are expired a tick later', () => {
    const requests = () => fixture.memory.u32[CONTROL_REQUESTS >>> 2];
    fixture.control.deleteDestination(WEB, server(1));
    fixture.control.tick(50);
    expect(requests()).toBe(0);
    fixture.control.setSysctl('expire_nodest_conn', '1');
    fixture.control.addDestination(WEB, server(1), SERVER);
    fixture.control.deleteDestination(WEB, server(1));
    expect(requests()).toBe(0);
    fixture.control.tick(60);
    expect(requests()).toBe(REQUEST_EXPIRE_UNAVAILABLE);
  });
});

describe('statistics', () => {
  function countPackets(key: ServiceKey, count: bigint): void {
    const { memory, control } = fixture;
    const at = memory.serviceStatistics(0, control.service(key)!.id);
    memory.u64[(at + STATS_IN_PACKETS) >>> 3] += count;
    memory.u64[(memory.totalStatistics(1) + STATS_IN_PACKETS) >>> 3] += count;
  }
  const packets = (key: ServiceKey) => fixture.control.service(key)?.statistics.inPackets;

  beforeEach(() => {
    fixture.control.addService(WEB, OPTIONS);
    fixture.control.addService(MARK, OPTIONS);
  });

  it('show what the estimator saw last', () => {
    countPackets(WEB, 5n);
    fixture.control.tick(1990);
    expect(packets(WEB)).toBe(0n);
    fixture.control.tick(2000);
    expect(packets(WEB)).toBe(5n);
    expect(fixture.control.totals().inPackets).toBe(5n);
    expect(fixture.control.workerCounts()).toEqual([
      [0, 0, 0, 0, 0],
      [0, 5, 0, 0, 0],
    ]);
  });

  it('under the clock of a recording: estimated when Linux did, 1.20 s and 3.28 s after its start', () => {
    // Linux starts counting jiffies 300 s before they wrap; the recordings begin 30 s after boot.
    const boot = (2 ** 32 - 30_000) * 10;
    fixture = new Fixture({ startMs: boot, timerPrecision: 'wheel' });
    fixture.control.addService(WEB, OPTIONS);
    fixture.control.tick(boot + 30_000);
    const seen = [1190, 1200, 3270, 3280].map((milliseconds) => {
      countPackets(WEB, 1n);
      fixture.control.tick(boot + 30_000 + milliseconds);
      return packets(WEB);
    });
    expect(seen).toEqual([0n, 2n, 2n, 4n]);
  });

  it('with run_estimation=0 stay as they are', () => {
    fixture.control.setSysctl('run_estimation', '0');
    countPackets(WEB, 5n);
    fixture.control.tick(10_000);
    expect(packets(WEB)).toBe(0n);
  });

  it('of one service zeroed: the others and the totals go on', () => {
    countPackets(WEB, 5n);
    countPackets(MARK, 7n);
    fixture.control.tick(2000);
    fixture.control.zero(WEB);
    expect([packets(WEB), packets(MARK)]).toEqual([0n, 7n]);
    expect(fixture.control.totals().inPackets).toBe(12n);
    fixture.control.zero();
    expect([packets(MARK), fixture.control.totals().inPackets]).toEqual([0n, 0n]);
  });
});

describe('timeouts and sysctls', () => {
  const bankWord = (offset: number) => {
    return fixture.memory.u32[(fixture.memory.activeBank() + offset) >>> 2];
  };

  it('timeouts: 0 keeps a value; published in ticks', () => {
    expect(fixture.control.timeouts()).toEqual({ tcp: 900, tcpFin: 120, udp: 300 });
    fixture.control.setTimeouts({ tcp: 10, tcpFin: 0, udp: 20 });
    expect(fixture.control.timeouts()).toEqual({ tcp: 10, tcpFin: 120, udp: 20 });
    expect(bankWord(BANK_TIMEOUT_TCP + TCP_ESTABLISHED * 4)).toBe(1000);
    expect(bankWord(BANK_TIMEOUT_TCP + TCP_FIN_WAIT * 4)).toBe(12_000);
    expect(bankWord(BANK_TIMEOUT_UDP)).toBe(2000);
  });

  it.each([-1, 21_474_837, 1.5])('timeout %d: EINVAL, nothing changes', (tcp) => {
    expect(codeOf(() => fixture.control.setTimeouts({ tcp, tcpFin: 5, udp: 5 }))).toBe('EINVAL');
    expect(fixture.control.timeouts()).toEqual({ tcp: 900, tcpFin: 120, udp: 300 });
  });

  it('sysctls: defaults are published, and so is a change', () => {
    expect(bankWord(SYSCTL_CONN_REUSE_MODE)).toBe(1);
    expect(bankWord(SYSCTL_UNPRIVILEGED_PORT)).toBe(1024);
    fixture.control.setSysctl('conn_reuse_mode', '0');
    expect(bankWord(SYSCTL_CONN_REUSE_MODE)).toBe(0);
    expect(fixture.control.sysctl('conn_reuse_mode')).toBe('0');
    expect(codeOf(() => fixture.control.setSysctl('nosuch', '1'))).toBe('ENOENT');
  });

  it('drop_packet=3: the rate is in force at once', () => {
    fixture.control.setSysctl('am_droprate', '3');
    fixture.control.setSysctl('drop_packet', '3');
    expect(fixture.memory.u32[CONTROL_DROP_RATE >>> 2]).toBe(3);
    fixture.control.setSysctl('drop_packet', '0');
    expect(fixture.memory.u32[CONTROL_DROP_RATE >>> 2]).toBe(0);
  });

  it('drop_entry=3: every second workers are asked to drop entries', () => {
    fixture.control.setSysctl('drop_entry', '3');
    fixture.control.tick(990);
    expect(fixture.memory.u32[CONTROL_REQUESTS >>> 2]).toBe(0);
    fixture.control.tick(1000);
    expect(fixture.memory.u32[CONTROL_REQUESTS >>> 2]).toBe(REQUEST_DROP_ENTRIES);
  });

  it('secure_tcp=1: in force while memory is short, looked at every second', () => {
    let pages = 5000;
    fixture = new Fixture({ availablePages: () => pages });
    fixture.control.setSysctl('secure_tcp', '1');
    expect(bankWord(SYSCTL_SECURE_TCP)).toBe(0);
    pages = 100;
    fixture.control.tick(1000);
    expect(bankWord(SYSCTL_SECURE_TCP)).not.toBe(0);
    expect(fixture.control.sysctl('secure_tcp')).toBe('2');
    pages = 5000;
    fixture.control.tick(2000);
    expect(bankWord(SYSCTL_SECURE_TCP)).toBe(0);
    expect(fixture.control.sysctl('secure_tcp')).toBe('1');
  });
});

describe('batches', () => {
  it('several changes: published once, at the end', () => {
    const before = fixture.memory.generation();
    fixture.control.batch(() => {
      fixture.control.addService(WEB, OPTIONS);
      fixture.control.batch(() => fixture.control.addDestination(WEB, server(1), SERVER));
      expect(fixture.memory.generation()).toBe(before);
    });
    expect(fixture.memory.generation()).toBe(before + 1);
    expect(serviceWord(WEB, SERVICE_DESTINATION_COUNT)).toBe(1);
  });

  it('one change fails: what came before is published, the error comes out', () => {
    const failing = () => {
      fixture.control.batch(() => {
        fixture.control.addService(WEB, OPTIONS);
        fixture.control.addService(WEB, OPTIONS);
      });
    };
    expect(codeOf(failing)).toBe('EEXIST');
    expect(serviceWord(WEB, SERVICE_FAMILY) & 0xff).toBe(4);
  });

  it('a scheduler that is only a table is told once, and its table published', () => {
    fixture.control.batch(() => {
      fixture.control.addService(WEB, { ...OPTIONS, scheduler: 'sh' });
      for (const number of [1, 2, 3]) fixture.control.addDestination(WEB, server(number), SERVER);
      fixture.control.editDestination(WEB, server(1), { ...SERVER, weight: 2 });
    });
    expect(fixture.told()).toEqual(['bind - of ', 'add 3 of 3,2,1']);
    expect(serviceWord(WEB, SERVICE_SCHEDULER_SLOTS)).toBe(3);
  });

  it('any other scheduler is told of every change', () => {
    fixture.control.batch(() => {
      fixture.control.addService(WEB, { ...OPTIONS, scheduler: 'wrr' });
      for (const number of [1, 2]) fixture.control.addDestination(WEB, server(number), SERVER);
    });
    expect(fixture.told()).toEqual(['bind - of ', 'add 1 of 1', 'add 2 of 2,1']);
  });

  it('ids freed in the batch that needs them: published early, then used', () => {
    for (let port = 1; port <= 32; port++) fixture.control.addService({ ...WEB, port }, OPTIONS);
    fixture.control.batch(() => {
      fixture.control.flush();
      for (let port = 101; port <= 132; port++) {
        fixture.control.addService({ ...WEB, port }, OPTIONS);
      }
    });
    expect(fixture.control.services()).toHaveLength(32);
  });
});

it('changes are told to whoever wants to log them', () => {
  const seen: string[] = [];
  const onChange = ({ kind, destination }: ControlChange) => {
    seen.push(`${kind} ${destination?.address ?? ''}`.trim());
  };
  const { control } = new Fixture({ onChange });
  control.addService(WEB, OPTIONS);
  control.addDestination(WEB, server(1), SERVER);
  control.editDestination(WEB, server(1), SERVER);
  control.deleteDestination(WEB, server(1));
  control.addDestination(WEB, server(1), SERVER);
  control.deleteService(WEB);
  control.tick(200_000);
  expect(seen).toEqual([
    'service-added',
    'destination-added 10.0.0.1',
    'destination-edited 10.0.0.1',
    'destination-deleted 10.0.0.1',
    'destination-restored 10.0.0.1',
    'service-deleted',
    'destination-forgotten 10.0.0.1',
  ]);
});
