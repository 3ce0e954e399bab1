/**
 * Who has which address, for both families. All addresses are of documentation prefixes or private
 * ones, and live only inside the namespaces made for them.
 */

export type Family = 'ipv4' | 'ipv6';
export type Method = 'nat' | 'direct-route' | 'tunnel' | 'full-nat';

export const FAMILIES: readonly Family[] = ['ipv4', 'ipv6'];
export const METHODS: readonly Method[] = ['nat', 'direct-route', 'tunnel', 'full-nat'];

export interface AddressPlan {
  readonly bits: 32 | 128;
  readonly prefixLength: number;
  readonly anyPrefix: string;
  /** The clients' side. */
  readonly wan: {
    readonly prefix: string;
    readonly director: string;
    readonly router: string;
    readonly clients: readonly string[];
    readonly vips: Readonly<Record<Method, string>>;
  };
  /** The real servers' side. */
  readonly lan: {
    readonly prefix: string;
    readonly director: string;
    readonly router: string;
    readonly fullNatSource: string;
    readonly servers: readonly string[];
  };
}

export const ADDRESSES: Readonly<Record<Family, AddressPlan>> = {
  ipv4: {
    bits: 32,
    prefixLength: 24,
    anyPrefix: '0.0.0.0/0',
    wan: {
      prefix: '198.51.100.0/24',
      director: '198.51.100.1',
      router: '198.51.100.254',
      clients: ['198.51.100.10', '198.51.100.11', '198.51.100.12', '198.51.100.13'],
      vips: {
        nat: '198.51.100.80',
        'direct-route': '198.51.100.81',
        tunnel: '198.51.100.82',
        'full-nat': '198.51.100.83',
      },
    },
    lan: {
      prefix: '10.20.0.0/24',
      director: '10.20.0.1',
      router: '10.20.0.254',
      fullNatSource: '10.20.0.2',
      servers: ['10.20.0.11', '10.20.0.12', '10.20.0.13', '10.20.0.14'],
    },
  },
  ipv6: {
    bits: 128,
    prefixLength: 64,
    anyPrefix: '::/0',
    wan: {
      prefix: '2001:db8:1::/64',
      director: '2001:db8:1::1',
      router: '2001:db8:1::fe',
      clients: ['2001:db8:1::10', '2001:db8:1::11', '2001:db8:1::12', '2001:db8:1::13'],
      vips: {
        nat: '2001:db8:1::80',
        'direct-route': '2001:db8:1::81',
        tunnel: '2001:db8:1::82',
        'full-nat': '2001:db8:1::83',
      },
    },
    lan: {
      prefix: '2001:db8:2::/64',
      director: '2001:db8:2::1',
      router: '2001:db8:2::fe',
      fullNatSource: '2001:db8:2::2',
      servers: ['2001:db8:2::11', '2001:db8:2::12', '2001:db8:2::13', '2001:db8:2::14'],
    },
  },
};

/** The methods whose real servers own the virtual address and answer the client directly. */
export const DIRECT_METHODS: readonly Method[] = ['direct-route', 'tunnel'];
