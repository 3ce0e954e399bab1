import { describe, expect, test } from 'vitest';
import { ipvsadmWithNames, type NameLookups } from '../../../../host/ipvsadm/names.ts';
import { ServiceNames, wellKnownServices } from '../../../../host/ipvsadm/services.ts';
import { FakeControl } from './fake-control.ts';
import { run, setUp } from './support.ts';

class FakeLookups implements NameLookups {
  readonly services = new ServiceNames(wellKnownServices());
  readonly asked: string[] = [];

  async addressOfHost(name: string): Promise<string | undefined> {
    this.asked.push(name);
    return name === 'vip.example' ? '192.0.2.80' : undefined;
  }

  async hostOfAddress(address: string): Promise<string | undefined> {
    this.asked.push(address);
    return address === '10.0.0.1' ? 'one.example' : undefined;
  }
}

describe('ipvsadmWithNames', () => {
  test('resolves names in a restore before it changes anything', async () => {
    const control = new FakeControl();
    const lookups = new FakeLookups();
    const lines = '-A -t vip.example:http -s rr\n-a -t vip.example:80 -r 10.0.0.1 -m\n';
    const { code, stderr } = await ipvsadmWithNames(['-R'], control, lines, lookups);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(lookups.asked).toEqual(['vip.example']);
    expect(run(control, '-Sn').stdout).toContain('-a -t 192.0.2.80:80 -r 10.0.0.1:80 -m');
  });

  test('lists with the names it finds, each looked up once', async () => {
    const control = new FakeControl();
    const lookups = new FakeLookups();
    setUp(
      control,
      '-A -t 192.0.2.80:80 -s rr',
      '-a -t 192.0.2.80:80 -r 10.0.0.1 -m',
      '-a -t 192.0.2.80:80 -r 10.0.0.2 -m',
      '-A -t 192.0.2.80:443 -s rr',
    );
    const { stdout } = await ipvsadmWithNames(['-L'], control, '', lookups);
    expect(stdout.split('\n').slice(3)).toEqual([
      'TCP  192.0.2.80:http rr',
      '  -> one.example:http             Masq    1      0          0         ',
      '  -> 10.0.0.2:http                Masq    1      0          0         ',
      'TCP  192.0.2.80:https rr',
      '',
    ]);
    expect(lookups.asked.sort()).toEqual(['10.0.0.1', '10.0.0.2', '192.0.2.80']);
  });

  test('a host that nobody knows is an error, and with -n nothing is looked up', async () => {
    const control = new FakeControl();
    const lookups = new FakeLookups();
    const wrong = ['-A', '-t', 'nosuch.example:80'];
    expect(await ipvsadmWithNames(wrong, control, '', lookups)).toMatchObject({
      code: 2,
      stderr: 'illegal virtual server address[:port] specified\n',
    });
    expect(lookups.asked.splice(0)).toEqual(['nosuch.example']);
    await ipvsadmWithNames(['-Ln'], control, '', lookups);
    await ipvsadmWithNames(['-A', '-t', '192.0.2.80:80'], control, '', lookups);
    expect(lookups.asked).toEqual([]);
    expect(control.services()).toHaveLength(1);
  });
});
