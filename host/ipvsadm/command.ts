import { FORWARD_DIRECT_ROUTE, TUNNEL_IPIP } from '../../assembly/shared/codes.ts';
import type {
  DestinationKey,
  DestinationOptions,
  Family,
  ServiceKey,
  ServiceOptions,
  ServiceProtocol,
  Timeouts,
} from '../ipvs/types.ts';
import type { CheckedOption, CommandName } from './options.ts';

/** A virtual service as far as the options have told; 0 and "" stand for nothing said. */
export interface ServiceDraft {
  family: Family | 0;
  protocol: ServiceProtocol | '';
  address: string;
  port: number;
  mark: number;
  scheduler: string;
  /** SERVICE_* bits. */
  flags: number;
  persistenceSeconds: number;
  /** Dotted, or the prefix length of an IPv6 service. */
  persistenceMask: string;
  engine: string;
}

/** A real server as far as the options have told. */
export interface ServerDraft {
  family: Family | 0;
  address: string;
  port: number;
  /** FORWARD_*. */
  forwarding: number;
  weight: number;
  upperThreshold: number;
  lowerThreshold: number;
  /** TUNNEL_*. */
  tunnelType: number;
  tunnelPort: number;
  tunnelFlags: number;
}

/** A command line that was read whole. */
export interface Command {
  name: CommandName;
  readonly given: Set<CheckedOption>;
  readonly service: ServiceDraft;
  readonly server: ServerDraft;
  timeouts: Timeouts;
  localAddress: string;
  localInterface: string;
}

/** A command before its options are read, with the defaults of ipvsadm. */
export function emptyCommand(name: CommandName): Command {
  return {
    name,
    given: new Set(),
    service: {
      family: 0,
      protocol: '',
      address: '',
      port: 0,
      mark: 0,
      scheduler: '',
      flags: 0,
      persistenceSeconds: 0,
      persistenceMask: '255.255.255.255',
      engine: '',
    },
    server: {
      family: 0,
      address: '',
      port: 0,
      forwarding: FORWARD_DIRECT_ROUTE,
      weight: 1,
      upperThreshold: 0,
      lowerThreshold: 0,
      tunnelType: TUNNEL_IPIP,
      tunnelPort: 0,
      tunnelFlags: 0,
    },
    timeouts: { tcp: 0, tcpFin: 0, udp: 0 },
    localAddress: '',
    localInterface: '',
  };
}

/** What identifies the service; its address or mark must have been given. */
export function serviceKey({ family, protocol, address, port, mark }: ServiceDraft): ServiceKey {
  if (family === 0) throw new RangeError('no virtual service was given');
  if (mark !== 0) return { family, mark };
  if (protocol === '') throw new RangeError('the virtual service has no protocol');
  return { family, protocol, address, port };
}

/** What the service is asked to be. */
export function serviceOptions(draft: ServiceDraft): ServiceOptions {
  const { scheduler, flags, persistenceSeconds, persistenceMask, engine } = draft;
  return { scheduler, flags, persistenceSeconds, persistenceMask, engine };
}

/** What identifies the server; its address must have been given. */
export function serverKey({ family, address, port }: ServerDraft): DestinationKey {
  if (family === 0) throw new RangeError('no real server was given');
  return { family, address, port };
}

/** What the server is asked to be. */
export function serverOptions(draft: ServerDraft): DestinationOptions {
  const { forwarding, weight, upperThreshold, lowerThreshold } = draft;
  const { tunnelType, tunnelPort, tunnelFlags } = draft;
  return {
    forwarding,
    weight,
    upperThreshold,
    lowerThreshold,
    tunnelType,
    tunnelPort,
    tunnelFlags,
  };
}
