import {
  FORWARD_DIRECT_ROUTE,
  FORWARD_TUNNEL,
  SERVICE_ONE_PACKET,
  SERVICE_PERSISTENT,
} from '../../assembly/shared/codes.ts';
import { IpvsError } from '../ipvs/types.ts';
import { checkCommandOptions, checkTunnelOptions } from './check.ts';
import { type Command, serverKey, serverOptions, serviceKey, serviceOptions } from './command.ts';
import { EXIT_FAILED, EXIT_NOTHING, Exit } from './exit.ts';
import { formatOf } from './format.ts';
import { addLocalAddress, deleteLocalAddress } from './full-nat-control.ts';
import { listConnections } from './list-connections.ts';
import { type ListContext, listService, listServices } from './list-services.ts';
import { errorMessage, type Operation } from './messages.ts';
import type { CheckedOption, CommandName } from './options.ts';
import type { Output } from './output.ts';
import { DEFAULT_SCHEDULER } from './parse.ts';
import { saveServices } from './save.ts';

/** What running a command needs. */
export type RunContext = ListContext;

/** The commands that run here; -R is made of others. */
export type RunnableCommand = Exclude<CommandName, 'restore'>;

/**
 * Refuses a command that makes no sense as a whole, and fills in what follows from the rest of
 * it. Throws Exit.
 */
export function checkCommand(command: Command, output: Output): void {
  checkCommandOptions(command.name, command.given, output);
  if (command.name === 'add-service' || command.name === 'edit-service') {
    checkService(command, output);
  }
  if (command.name === 'add-server' || command.name === 'edit-server') {
    checkServer(command, output);
  }
}

function checkService({ service }: Command, output: Output): void {
  const isPersistent = (service.flags & SERVICE_PERSISTENT) !== 0;
  if (service.mark === 0 && service.port === 0 && !isPersistent) {
    output.fail('Zero port specified for non-persistent service');
  }
  const isOnePacket = (service.flags & SERVICE_ONE_PACKET) !== 0;
  if (isOnePacket && service.mark === 0 && service.protocol !== 'udp') {
    output.fail('One-Packet Scheduling is only for UDP virtual services');
  }
  if (service.scheduler === '') service.scheduler = DEFAULT_SCHEDULER;
}

const ONLY_TUNNEL_OPTIONS: readonly CheckedOption[] = [
  'tun-type',
  'tun-port',
  'tun-nocsum',
  'tun-csum',
  'tun-remcsum',
];

function checkServer({ service, server, given }: Command, output: Output): void {
  const isTunnel = server.forwarding === FORWARD_TUNNEL;
  // Nobody could change the port of a packet on these ways.
  const keepsPort = isTunnel || server.forwarding === FORWARD_DIRECT_ROUTE;
  if (service.mark === 0 && keepsPort) server.port = service.port;
  if (server.family !== service.family && !isTunnel) {
    output.fail('Different address family is allowed only for tunneling servers');
  }
  if (ONLY_TUNNEL_OPTIONS.some((option) => given.has(option)) && !isTunnel) {
    output.fail('Tunnel options conflict with forward method');
  }
  checkTunnelOptions(server.tunnelType, given, output);
}

/** Runs a checked command and returns the exit code; throws Exit where ipvsadm exits. */
export function runCommand(command: Command, context: RunContext): number {
  const name = command.name as RunnableCommand;
  const { control } = context;
  switch (name) {
    case 'list':
      return runList(command, context);
    case 'save':
      saveServices(context, formatOf(command.given, true));
      return 0;
    case 'flush':
      return attempt('flush', context, () => control.flush());
    case 'zero':
      return attempt('zero', context, () => control.zero(zeroKey(command)));
    case 'set':
      return attempt('set', context, () => control.setTimeouts(command.timeouts));
    case 'start-daemon':
      context.output.complain('Connection sync is a later step: --start-daemon starts nothing');
      return EXIT_FAILED;
    case 'stop-daemon':
      context.output.complain(errorMessage('stop-daemon', 'ESRCH'));
      return EXIT_FAILED;
    case 'add-service':
    case 'edit-service':
    case 'delete-service':
      return attempt(name, context, () => changeService(name, command, context));
    case 'add-server':
    case 'edit-server':
    case 'delete-server':
      return attempt(name, context, () => changeServer(name, command, context));
    case 'add-laddr':
    case 'del-laddr':
      return changeLocalAddress(name, command, context);
  }
}

function changeService(
  name: 'add-service' | 'edit-service' | 'delete-service',
  { service }: Command,
  { control }: RunContext,
): void {
  const key = serviceKey(service);
  if (name === 'add-service') control.addService(key, serviceOptions(service));
  else if (name === 'edit-service') control.editService(key, serviceOptions(service));
  else control.deleteService(key);
}

function changeServer(
  name: 'add-server' | 'edit-server' | 'delete-server',
  { service, server }: Command,
  { control }: RunContext,
): void {
  const key = serviceKey(service);
  const destination = serverKey(server);
  if (name === 'add-server') control.addDestination(key, destination, serverOptions(server));
  else if (name === 'edit-server') control.editDestination(key, destination, serverOptions(server));
  else control.deleteDestination(key, destination);
}

function changeLocalAddress(
  name: 'add-laddr' | 'del-laddr',
  { service, localAddress, localInterface }: Command,
  context: RunContext,
): number {
  const { control } = context;
  const key = serviceKey(service);
  const local = { address: localAddress, interface: localInterface };
  return attempt(name, context, () => {
    if (name === 'add-laddr') addLocalAddress(control, key, local);
    else deleteLocalAddress(control, key, local);
  });
}

/** Undefined for all services: ipvsadm asks for those with the empty address, too. */
function zeroKey({ service }: Command): ReturnType<typeof serviceKey> | undefined {
  const isEmpty = service.address === '' || /^(0\.0\.0\.0|::)$/.test(service.address);
  if (service.mark === 0 && isEmpty && service.port === 0) return undefined;
  return serviceKey(service);
}

/** Runs an operation; what the control interface refuses becomes a message and an exit code. */
function attempt(operation: Operation, { output }: RunContext, act: () => void): number {
  try {
    act();
    return 0;
  } catch (error) {
    if (!(error instanceof IpvsError)) throw error;
    output.complain(errorMessage(operation, error.code));
    return EXIT_FAILED;
  }
}

function runList(command: Command, context: RunContext): number {
  const { given, service } = command;
  const { control, output } = context;
  const has = (...options: CheckedOption[]) => options.some((option) => given.has(option));
  if (
    (has('connection', 'timeout', 'daemon') && has('stats', 'rate', 'thresholds')) ||
    (has('timeout', 'daemon') && has('persistent-conn'))
  ) {
    output.fail('options conflicts in the list command');
  }
  const format = formatOf(given, false);
  if (given.has('connection')) {
    listConnections(context, format);
  } else if (given.has('service-address')) {
    const entry = control.service(serviceKey(service));
    if (entry === undefined) {
      output.complain(errorMessage('get-service', 'ESRCH'));
      throw new Exit(EXIT_NOTHING);
    }
    listService(entry, context, format);
  } else if (given.has('timeout')) {
    const { tcp, tcpFin, udp } = control.timeouts();
    output.print(`Timeout (tcp tcpfin udp): ${tcp} ${tcpFin} ${udp}\n`);
  } else if (!given.has('daemon')) {
    // No sync daemon ever runs, so that --daemon has nothing to list.
    listServices(context, format);
  }
  return 0;
}
