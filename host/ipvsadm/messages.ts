import type { IpvsErrorCode } from '../ipvs/types.ts';

/** What was asked of the control interface. */
export type Operation =
  | 'add-service'
  | 'edit-service'
  | 'delete-service'
  | 'flush'
  | 'zero'
  | 'add-server'
  | 'edit-server'
  | 'delete-server'
  | 'set'
  | 'stop-daemon'
  | 'get-service'
  | 'get-services'
  | 'get-servers'
  | 'add-laddr'
  | 'del-laddr';

type Messages = Readonly<Partial<Record<IpvsErrorCode, string>>>;

const NO_LOCAL_ADDRESSES = 'This director has no local addresses of services';

const BY_OPERATION: Readonly<Partial<Record<Operation, Messages>>> = {
  'add-service': {
    EEXIST: 'Service already exists',
    ENOENT: 'Scheduler or persistence engine not found',
  },
  'edit-service': {
    ESRCH: 'No such service',
    ENOENT: 'Scheduler or persistence engine not found',
  },
  'delete-service': { ESRCH: 'No such service' },
  zero: { ESRCH: 'No such service' },
  'add-server': { ESRCH: 'Service not defined', EEXIST: 'Destination already exists' },
  'edit-server': { ESRCH: 'Service not defined', ENOENT: 'No such destination' },
  'delete-server': { ESRCH: 'Service not defined', ENOENT: 'No such destination' },
  'stop-daemon': { ESRCH: 'No daemon is running' },
  'get-services': { ESRCH: 'No such service' },
  'get-servers': { ESRCH: 'No such service' },
  'get-service': { ESRCH: 'No such service' },
  'add-laddr': {
    ESRCH: 'Service not defined',
    EEXIST: 'Local address already exists',
    EOPNOTSUPP: NO_LOCAL_ADDRESSES,
  },
  'del-laddr': {
    ESRCH: 'Service not defined',
    ENOENT: 'No such local address',
    EOPNOTSUPP: NO_LOCAL_ADDRESSES,
  },
};

const ANYWHERE: Readonly<Record<IpvsErrorCode, string>> = {
  EPERM: 'Permission denied (you must be root)',
  EINVAL: 'Invalid operation.  Possibly wrong module version, address not unicast, ...',
  ENOMEM: 'Memory allocation problem',
  EOPNOTSUPP: 'Operation not supported with IPv6',
  EAFNOSUPPORT: 'Operation not supported with specified address family',
  // The rest is in the words of the C library.
  EEXIST: 'File exists',
  ENOENT: 'No such file or directory',
  ESRCH: 'No such process',
  ERANGE: 'Numerical result out of range',
};

/** What ipvsadm says when the kernel refuses an operation. */
export function errorMessage(operation: Operation, code: IpvsErrorCode): string {
  return BY_OPERATION[operation]?.[code] ?? ANYWHERE[code];
}
