import { describe, expect, test } from 'vitest';
import { parseRequest, type RealServerOptions } from '../../../../host/realserver/request.ts';

const parse = (options: Partial<RealServerOptions>) =>
  parseRequest({ method: 'direct-route', vip: ['192.0.2.80'], ...options });

describe('what a real server is asked to be', () => {
  test("methods by everybody's names, addresses in canonical spelling", () => {
    expect(parse({ method: 'dr', vip: ['2001:DB8:0::80'] })).toEqual({
      method: 'direct-route',
      addresses: [{ family: 6, address: '2001:db8::80' }],
      interface: 'lo',
      tunnel: undefined,
      directors: [],
    });
    expect(parse({ method: 'fullnat' }).method).toBe('full-nat');
  });

  test('a tunnel: the outer family is that of the virtual address', () => {
    expect(parse({ method: 'tunnel' }).tunnel).toEqual({ type: 'ipip', outer: 4, port: 6080 });
    expect(parse({ method: 'tunnel', vip: ['::1'], type: 'gre' }).tunnel?.outer).toBe(6);
    expect(parse({ method: 'tunnel', outer: 'ipv6', type: 'gue', port: '5' }).tunnel).toEqual({
      type: 'gue',
      outer: 6,
      port: 5,
    });
  });

  test.each<[Partial<RealServerOptions>, RegExp]>([
    [{ method: 'bounce' }, /^--method bounce: expected nat, direct-route, tunnel or full-nat$/],
    [{ vip: ['web'] }, /^--vip web: no IP address$/],
    [{ vip: ["1.2.3.4'; reboot"] }, /no IP address/],
    [{ interface: 'lo; reboot' }, /^--interface lo; reboot: no name/],
    [{ interface: '-x' }, /no name/],
    [{ type: 'gue' }, /^--type has no meaning for the method direct-route$/],
    [{ method: 'nat' }, /^--director: expected the director's IPv4 address.*got 0$/],
    [{ method: 'nat', director: ['::1'] }, /IPv4 address.*got 0/],
    [{ method: 'nat', director: ['10.0.0.1'], interface: 'lo' }, /--interface has no meaning/],
    [{ director: ['10.0.0.1'] }, /--director has no meaning for the method direct-route/],
    [{ method: 'tunnel', type: 'vxlan' }, /--type vxlan: expected ipip, gue or gre/],
    [{ method: 'tunnel', port: '80' }, /--port has no meaning for the type ipip/],
    [{ method: 'tunnel', type: 'gue', port: '0' }, /--port 0: expected 1 to 65535/],
    [{ method: 'tunnel', outer: 'v4' }, /--outer v4: expected ipv4 or ipv6/],
    [{ method: 'tunnel', vip: ['::1', '1.2.3.4'] }, /--outer: say the family/],
  ])('%o is refused', (options, message) => {
    expect(() => parse(options)).toThrow(message);
  });
});
