import { type IpvsControl, IpvsError, type LocalAddress, type ServiceKey } from '../ipvs/types.ts';

/**
 * The control interface with DPVS's local addresses. A director without full-nat leaves the
 * methods out.
 */
export interface FullNatControl extends IpvsControl {
  /**
   * Throws EEXIST for an address the service has, EINVAL for one of another family, ESRCH without
   * the service.
   */
  addLocalAddress?(service: ServiceKey, local: LocalAddress): void;
  /** Throws ENOENT for an address the service does not have, ESRCH without the service. */
  deleteLocalAddress?(service: ServiceKey, local: LocalAddress): void;
  /** In the order they were added. */
  localAddresses?(service: ServiceKey): readonly LocalAddress[];
}

/** Adds a local address; throws EOPNOTSUPP when the director has none. */
export function addLocalAddress(
  control: FullNatControl,
  service: ServiceKey,
  local: LocalAddress,
): void {
  if (control.addLocalAddress === undefined) throw noLocalAddresses();
  control.addLocalAddress(service, local);
}

/** Deletes a local address; throws EOPNOTSUPP when the director has none. */
export function deleteLocalAddress(
  control: FullNatControl,
  service: ServiceKey,
  local: LocalAddress,
): void {
  if (control.deleteLocalAddress === undefined) throw noLocalAddresses();
  control.deleteLocalAddress(service, local);
}

function noLocalAddresses(): IpvsError {
  return new IpvsError('EOPNOTSUPP', 'the director has no local addresses of services');
}
