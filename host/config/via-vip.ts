/** Checks that ask for the virtual address through the server: which these are, and their rules. */

import type { Finding } from './problems.ts';
import type { CheckConfig, DestinationConfig, ServiceConfig } from './types.ts';

type CheckOf<Type extends CheckConfig['type']> = Extract<CheckConfig, { readonly type: Type }>;

/** Whether a check goes to the virtual address through the server. */
export function wantsVip(check: CheckConfig): boolean {
  return 'via' in check && check.via === 'vip';
}

/** The services with a server that is checked this way. */
export function servicesViaVip(services: readonly ServiceConfig[]): ServiceConfig[] {
  return services.filter(({ servers }) => servers.some(({ checks }) => checks.some(wantsVip)));
}

/** Whatever is expected of a reply means that there has to be one. */
export function needsReply(check: CheckOf<'udp'>): boolean {
  return (
    check.requireReply === true ||
    check.expect !== undefined ||
    check.expectHex !== undefined ||
    check.replyMin !== undefined ||
    check.replyMax !== undefined
  );
}

/** Why a server's check cannot go by way of the virtual address; undefined: it can, or need not. */
export function findViaVip(
  check: CheckConfig,
  server: DestinationConfig,
  service: ServiceConfig,
): Finding | undefined {
  if (!wantsVip(check)) return undefined;
  const message = whyNotVia(check, server, service);
  if (message === undefined) return undefined;
  return { path: ['via'], code: 'check-via-vip', message };
}

function whyNotVia(
  check: CheckConfig,
  { family, forwarding, tunnel }: DestinationConfig,
  { listen }: ServiceConfig,
): string | undefined {
  if (forwarding === 'nat' || forwarding === 'full-nat') {
    return `\`via: vip\` is for direct-route and tunnel, not for ${forwarding}: leave it out`;
  }
  if (listen.kind === 'mark') return '`via: vip` needs a virtual address; a mark has none';
  if (family !== listen.family) {
    return `\`via: vip\` cannot ask for an IPv${listen.family} address through an IPv${family} tunnel`;
  }
  if (tunnel !== undefined && tunnel.checksum !== 'none') {
    return `\`via: vip\` makes no tunnel checksums: expected \`checksum: none\`, got ${tunnel.checksum}`;
  }
  if ('address' in check && check.address !== undefined) {
    return '`via: vip` goes through the server itself: leave `address` out';
  }
  if (check.type === 'udp' && !needsReply(check)) {
    // A server without the address drops in silence what it gets.
    return '`via: vip` needs an answer, or it would prove nothing: add `requireReply: true`';
  }
  return undefined;
}
