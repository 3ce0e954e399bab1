/**
 * Drivers with native XDP and XDP_REDIRECT, for kernels before 6.3, which do not say it themselves.
 * Source: users of ndo_bpf with XDP_SETUP_PROG in Linux 6.1, by the names ethtool prints.
 */

const NATIVE: ReadonlySet<string> = new Set([
  'bnxt_en',
  'bond',
  'cpsw',
  'dpaa2-eth',
  'dpaa_eth',
  'ena',
  'enetc',
  'fsl_dpaa2_eth',
  'fsl_enetc',
  'gve',
  'hv_netvsc',
  'i40e',
  'ice',
  'igb',
  'igc',
  'ixgbe',
  'ixgbevf',
  'lan966x',
  'mana',
  'mlx4_en',
  'mlx5_core',
  'mvneta',
  'mvpp2',
  'netsec',
  'nfp',
  'nicvf',
  'qede',
  'sfc',
  'stmmac',
  'tsnep',
  'tun',
  'veth',
  'virtio_net',
  'xen_netfront',
]);

/** Links that exist in software only and have no native XDP. */
const WITHOUT: ReadonlySet<string> = new Set([
  'bridge',
  'dummy',
  'ipvlan',
  'macvlan',
  'team',
  'vlan',
  'vxlan',
]);

/** Whether a driver has native XDP, or undefined when its name is not known here. */
export function nativeDriver(name: string | undefined): boolean | undefined {
  if (name === undefined) return undefined;
  if (NATIVE.has(name)) return true;
  return WITHOUT.has(name) ? false : undefined;
}
