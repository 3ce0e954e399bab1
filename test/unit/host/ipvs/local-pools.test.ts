import { describe, expect, test } from 'vitest';
import {
  BANK_DIRECTOR_POOL,
  LOCAL_FLAGS,
  LOCAL_POOL,
  POOL_ADDRESS,
  POOL_SIZE,
  SERVICE_POOL_FIRST,
} from '../../../../assembly/shared/layout.ts';
import { LOCAL_POOL_MAX } from '../../../../assembly/shared/limits.ts';
import { addressBytes } from '../../../../host/config/address.ts';
import type { ControlChange } from '../../../../host/ipvs/control.ts';
import type { ServiceKey } from '../../../../host/ipvs/types.ts';
import { ipvsadm } from '../../../../host/ipvsadm/ipvsadm.ts';
import { OfflineResolver } from '../../../../host/ipvsadm/resolver.ts';
import { formatAddress } from '../../../../host/tables/address-text.ts';
import { probeLocal } from '../../../../host/tables/local-addresses.ts';
import { Random } from '../../../support/random.ts';
import { codeOf, Fixture, MARK, OPTIONS, OPTIONS6, WEB, WEB6 } from './control-fixture.ts';

const resolver = new OfflineResolver();
const PORTS = [
  [1024, 2047],
  [1, 0],
] as const;

function local(address: string, name = '') {
  return { address, interface: name };
}

/** The addresses that the data plane would send a service's connections from. */
function publishedFor(fixture: Fixture, key: ServiceKey): string[] {
  const { memory, control } = fixture;
  const { u8, u32 } = memory;
  const bank = memory.activeBank();
  const service = memory.service(bank, control.service(key)!.id);
  const own = (service + SERVICE_POOL_FIRST) >>> 2;
  const shared = (bank + BANK_DIRECTOR_POOL + (key.family === 4 ? 0 : 8)) >>> 2;
  const run = u32[own + 1] > 0 ? own : shared;
  return Array.from({ length: u32[run + 1] }, (_, index) => {
    const at = bank + memory.map.bank.localPool + (u32[run] + index) * POOL_SIZE;
    return formatAddress(u8, at + POOL_ADDRESS, key.family === 4 ? 4 : 16);
  });
}

/** Whether packets to an address are taken for answers. */
function isPooled({ memory }: Fixture, address: string): boolean {
  const at = probeLocal(memory, memory.activeBank(), addressBytes(address));
  return (memory.u8[at + LOCAL_FLAGS] & LOCAL_POOL) !== 0;
}

function withServices(changes: ControlChange[] = []): Fixture {
  const fixture = new Fixture({ onChange: (change) => changes.push(change) });
  fixture.control.addService(WEB, OPTIONS);
  fixture.control.addService(WEB6, OPTIONS6);
  fixture.control.addService(MARK, OPTIONS);
  fixture.control.setLocalPool({
    addresses: [
      { family: 6, address: '2001:db8::1' },
      { family: 4, address: '10.0.0.1' },
      { family: 4, address: '10.0.0.2' },
    ],
    portRanges: PORTS,
  });
  changes.length = 0;
  return fixture;
}

describe('addresses of a service', () => {
  test('a service without any: the director’s of its family', () => {
    const fixture = withServices();
    expect(publishedFor(fixture, WEB)).toEqual(['10.0.0.1', '10.0.0.2']);
    expect(publishedFor(fixture, WEB6)).toEqual(['2001:db8::1']);
  });

  test('added: only these, in their order, and listed as they were given', () => {
    const changes: ControlChange[] = [];
    const fixture = withServices(changes);
    const { control } = fixture;
    control.addLocalAddress(WEB, local('10.0.0.9', 'lan'));
    control.addLocalAddress(WEB, local('10.0.0.2'));
    control.addLocalAddress(WEB6, local('2001:DB8:0::9'));
    control.addLocalAddress(MARK, local('10.0.0.8'));
    expect(publishedFor(fixture, WEB)).toEqual(['10.0.0.9', '10.0.0.2']);
    expect(publishedFor(fixture, WEB6)).toEqual(['2001:db8::9']);
    expect(publishedFor(fixture, MARK)).toEqual(['10.0.0.8']);
    expect(control.localAddresses(WEB)).toEqual([local('10.0.0.9', 'lan'), local('10.0.0.2')]);
    expect(control.localAddresses(WEB6)).toEqual([local('2001:db8::9')]);
    for (const address of ['10.0.0.1', '10.0.0.2', '10.0.0.8', '10.0.0.9', '2001:db8::9']) {
      expect(isPooled(fixture, address)).toBe(true);
    }
    expect(changes[0]).toEqual({
      kind: 'local-address-added',
      service: WEB,
      localAddress: '10.0.0.9',
    });
  });

  test('the last one deleted: the director’s again', () => {
    const fixture = withServices();
    fixture.control.addLocalAddress(WEB, local('10.0.0.9'));
    fixture.control.deleteLocalAddress(WEB, local('10.0.0.9'));
    expect(publishedFor(fixture, WEB)).toEqual(['10.0.0.1', '10.0.0.2']);
    expect(fixture.control.localAddresses(WEB)).toEqual([]);
  });

  test('an edited service keeps them, a deleted one takes them along', () => {
    const fixture = withServices();
    const { control } = fixture;
    control.addLocalAddress(WEB, local('10.0.0.9'));
    control.editService(WEB, { ...OPTIONS, scheduler: 'wlc' });
    expect(publishedFor(fixture, WEB)).toEqual(['10.0.0.9']);
    control.deleteService(WEB);
    control.addService(WEB, OPTIONS);
    expect(publishedFor(fixture, WEB)).toEqual(['10.0.0.1', '10.0.0.2']);
  });

  test.each([
    ['a second time', WEB, '10.0.0.9', 'EEXIST'],
    ['of the other family', WEB, '2001:db8::9', 'EINVAL'],
    ['of the other family, IPv6', WEB6, '10.0.0.9', 'EINVAL'],
    ['multicast', WEB, '224.0.0.1', 'EINVAL'],
    ['unspecified', WEB6, '::', 'EINVAL'],
    ['to no service', { ...WEB, port: 81 }, '10.0.0.9', 'ESRCH'],
  ] as const)('added %s: refused, and nothing changes', (_, key, address, code) => {
    const changes: ControlChange[] = [];
    const fixture = withServices();
    fixture.control.addLocalAddress(WEB, local('10.0.0.9'));
    expect(codeOf(() => fixture.control.addLocalAddress(key, local(address)))).toBe(code);
    expect(publishedFor(fixture, WEB)).toEqual(['10.0.0.9']);
    expect(publishedFor(fixture, WEB6)).toEqual(['2001:db8::1']);
    expect(changes).toEqual([]);
  });

  test('deleted though not there: ENOENT, ESRCH without the service', () => {
    const { control } = withServices();
    expect(codeOf(() => control.deleteLocalAddress(WEB, local('10.0.0.1')))).toBe('ENOENT');
    expect(codeOf(() => control.deleteLocalAddress({ ...WEB, port: 81 }, local('10.0.0.1')))).toBe(
      'ESRCH',
    );
  });

  test('more than the pool holds: ENOMEM, and the others stay', () => {
    const fixture = withServices();
    const { control } = fixture;
    control.batch(() => {
      for (let nth = 3; nth < LOCAL_POOL_MAX; nth++) {
        control.addLocalAddress(WEB, local(`10.1.${nth >>> 8}.${nth & 255}`));
      }
    });
    expect(codeOf(() => control.addLocalAddress(MARK, local('10.2.0.1')))).toBe('ENOMEM');
    expect(control.localAddresses(MARK)).toEqual([]);
    expect(publishedFor(fixture, WEB)).toHaveLength(LOCAL_POOL_MAX - 3);
  });
});

describe('addresses that were taken out', () => {
  test('stay answered until the next look finds no connection with them', () => {
    let changes = 0;
    const fixture = new Fixture({ onSteeringInput: () => changes++ });
    const { control } = fixture;
    const addresses = [{ family: 4, address: '10.0.0.1' }] as const;
    control.setLocalPool({ addresses, portRanges: PORTS });
    control.setLocalPool({ addresses: [], portRanges: PORTS });
    expect(isPooled(fixture, '10.0.0.1')).toBe(true);
    expect(control.tables.pool.retired).toEqual(addresses);
    const before = changes;
    control.tick(9_900);
    expect(isPooled(fixture, '10.0.0.1')).toBe(true);
    control.tick(10_100);
    expect(isPooled(fixture, '10.0.0.1')).toBe(false);
    expect(changes).toBe(before + 1);
  });

  test('one that comes back is retired no more', () => {
    const fixture = withServices();
    const { control } = fixture;
    control.addLocalAddress(WEB, local('10.0.0.9'));
    control.deleteLocalAddress(WEB, local('10.0.0.9'));
    control.addLocalAddress(WEB, local('10.0.0.9'));
    control.tick(60_000);
    expect(isPooled(fixture, '10.0.0.9')).toBe(true);
    expect(publishedFor(fixture, WEB)).toEqual(['10.0.0.9']);
  });
});

test('random changes: every service uses what a plain list says', () => {
  const seed = 0x1adde;
  const random = new Random(seed);
  const fixture = withServices();
  const { control } = fixture;
  const keys: ServiceKey[] = [WEB, { ...WEB, port: 81 }, MARK];
  control.addService(keys[1], OPTIONS);
  let shared = ['10.0.0.1', '10.0.0.2'];
  const own = new Map<ServiceKey, string[]>(keys.map((key) => [key, []]));
  for (let step = 0; step < 500; step++) {
    const key = random.pick(keys);
    const list = own.get(key)!;
    const address = `10.3.0.${random.between(1, 6)}`;
    const dice = random.below(10);
    if (dice < 5) {
      const isNew = !list.includes(address);
      const code = codeOf(() => control.addLocalAddress(key, local(address)));
      expect(code, `seed ${seed}, step ${step}`).toBe(isNew ? '' : 'EEXIST');
      if (isNew) list.push(address);
    } else if (dice < 8) {
      const index = list.indexOf(address);
      const code = codeOf(() => control.deleteLocalAddress(key, local(address)));
      expect(code, `seed ${seed}, step ${step}`).toBe(index < 0 ? 'ENOENT' : '');
      if (index >= 0) list.splice(index, 1);
    } else if (dice < 9) {
      control.deleteService(key);
      control.addService(key, OPTIONS);
      list.length = 0;
    } else {
      shared = Array.from({ length: random.below(4) }, (_, index) => `10.4.0.${index + 1}`);
      const addresses = shared.map((each) => ({ family: 4 as const, address: each }));
      control.setLocalPool({ addresses, portRanges: PORTS });
    }
    for (const [each, expected] of own) {
      const wanted = expected.length === 0 ? shared : expected;
      expect(publishedFor(fixture, each), `seed ${seed}, step ${step}`).toEqual(wanted);
    }
  }
});

test('ipvsadm: added, saved, cleared, restored, listed as FullNat', () => {
  const { control } = new Fixture();
  const run = (line: string, stdin = '') => ipvsadm(line.split(' '), control, { stdin, resolver });
  expect(run('-A -t 192.0.2.80:80 -s rr').code).toBe(0);
  expect(run('-P -t 192.0.2.80:80 -z 10.0.0.250 -F lan').code).toBe(0);
  expect(run('--add-laddr --laddr 10.0.0.251 -t 192.0.2.80:80').code).toBe(0);
  expect(run('-a -t 192.0.2.80:80 -r 10.0.0.11:8080 -b').code).toBe(0);
  expect(run('-Ln').stdout).toMatch(/-> 10\.0\.0\.11:8080 +FullNat 1 +0 +0/);
  const saved = run('-Sn').stdout;
  expect(saved).toBe(
    '-A -t 192.0.2.80:80 -s rr\n' +
      '-P -t 192.0.2.80:80 -z 10.0.0.250 -F lan\n' +
      '-P -t 192.0.2.80:80 -z 10.0.0.251\n' +
      '-a -t 192.0.2.80:80 -r 10.0.0.11:8080 -b -w 1\n',
  );
  for (const options of ['-R', '-R --atomic']) {
    expect(run('-C').code).toBe(0);
    expect(run('-Sn').stdout).toBe('');
    expect(run(options, saved)).toMatchObject({ code: 0, stderr: '' });
    expect(run('-Sn').stdout).toBe(saved);
  }
  expect(run('-P -t 192.0.2.80:80 -z 2001:db8::1')).toMatchObject({ code: 255 });
  expect(run('-Q -t 192.0.2.80:80 -z 10.0.0.250').code).toBe(0);
  expect(control.localAddresses(WEB)).toEqual([local('10.0.0.251')]);
});
