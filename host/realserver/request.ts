/** What a real server is to be prepared for, checked as a whole. */

import { type AddressFamily, parseAddress, parsePort } from '../config/address.ts';
import { FORWARDING_SPELLINGS } from '../config/schema.ts';
import type { ForwardingMethod, TunnelConfig } from '../config/types.ts';

/** The usual port of GUE, as `ip fou` and ipvsadm's manual have it. */
const GUE_PORT = 6080;

/** A tunnel as the real server's end of it needs it. */
export interface RealServerTunnel {
  readonly type: TunnelConfig['type'];
  /** Of the outer header, so of the real server's own address. */
  readonly outer: AddressFamily;
  /** Destination port of GUE. */
  readonly port: number;
}

/** One real server for some virtual addresses. */
export interface RealServerRequest {
  readonly method: ForwardingMethod;
  readonly addresses: readonly { readonly family: AddressFamily; readonly address: string }[];
  /** Where direct-route and tunnel put the virtual addresses. */
  readonly interface: string;
  /** Only for the method tunnel, and then always. */
  readonly tunnel: RealServerTunnel | undefined;
  /** For nat: where answers go. */
  readonly directors: readonly { readonly family: AddressFamily; readonly address: string }[];
}

/** What the command line says. */
export interface RealServerOptions {
  readonly method: string;
  readonly vip: readonly string[];
  readonly type?: string | undefined;
  readonly outer?: string | undefined;
  readonly port?: string | undefined;
  readonly interface?: string | undefined;
  readonly director?: readonly string[] | undefined;
}

/** Options that do not go together; the message is one line for the user. */
export class RealServerError extends Error {
  readonly code = 'REAL_SERVER';

  constructor(message: string) {
    super(message);
    this.name = 'RealServerError';
  }
}

/**
 * Checks the options and fills in defaults.
 * @throws RealServerError
 */
export function parseRequest(options: RealServerOptions): RealServerRequest {
  const method = FORWARDING_SPELLINGS[options.method];
  if (method === undefined) {
    throw new RealServerError(
      `--method ${options.method}: expected nat, direct-route, tunnel or full-nat`,
    );
  }
  const addresses = options.vip.map((text) => address('--vip', text));
  const directors = (options.director ?? []).map((text) => address('--director', text));
  refuseOthers(options, method);
  if (method === 'nat') checkDirectors(addresses, directors);
  return {
    method,
    addresses,
    interface: interfaceName(options.interface ?? 'lo'),
    tunnel: method === 'tunnel' ? parseTunnel(options, addresses) : undefined,
    directors,
  };
}

function address(option: string, text: string) {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new RealServerError(`${option} ${text}: no IP address`);
  return parsed;
}

/** An option that does nothing is a sign of a mistake. */
function refuseOthers(options: RealServerOptions, method: ForwardingMethod): void {
  const only: readonly [keyof RealServerOptions, readonly ForwardingMethod[]][] = [
    ['type', ['tunnel']],
    ['outer', ['tunnel']],
    ['port', ['tunnel']],
    ['interface', ['direct-route', 'tunnel']],
    ['director', ['nat']],
  ];
  for (const [option, methods] of only) {
    const value = options[option];
    if (value === undefined || value.length === 0 || methods.includes(method)) continue;
    throw new RealServerError(`--${option} has no meaning for the method ${method}`);
  }
}

function checkDirectors(
  addresses: RealServerRequest['addresses'],
  directors: RealServerRequest['directors'],
): void {
  for (const { family } of addresses) {
    const count = directors.filter((director) => director.family === family).length;
    if (count === 1) continue;
    throw new RealServerError(
      `--director: expected the director's IPv${family} address on this server's network, ` +
        `got ${count}`,
    );
  }
}

function parseTunnel(
  options: RealServerOptions,
  addresses: RealServerRequest['addresses'],
): RealServerTunnel {
  const { type = 'ipip' } = options;
  if (type !== 'ipip' && type !== 'gue' && type !== 'gre') {
    throw new RealServerError(`--type ${type}: expected ipip, gue or gre`);
  }
  const port = options.port === undefined ? GUE_PORT : parsePort(options.port);
  if (options.port !== undefined && type !== 'gue') {
    throw new RealServerError(`--port has no meaning for the type ${type}`);
  }
  if (port === undefined || port === 0) {
    throw new RealServerError(`--port ${options.port}: expected 1 to 65535`);
  }
  return { type, outer: parseOuter(options.outer, addresses), port };
}

function parseOuter(
  text: string | undefined,
  addresses: RealServerRequest['addresses'],
): AddressFamily {
  if (text === 'ipv4') return 4;
  if (text === 'ipv6') return 6;
  if (text !== undefined) throw new RealServerError(`--outer ${text}: expected ipv4 or ipv6`);
  const families = new Set(addresses.map(({ family }) => family));
  if (families.size === 1) return [...families][0]!;
  throw new RealServerError('--outer: say the family of the real server: ipv4 or ipv6');
}

function interfaceName(text: string): string {
  // What it may be in a shell, too, without quotes.
  if (/^[A-Za-z0-9_.-]{1,15}$/.test(text) && !/^\.{1,2}$|^-/.test(text)) return text;
  throw new RealServerError(`--interface ${text}: no name of an interface`);
}
