// Errors of sockets, TLS and processes in an operator's words.

/**
 * Errors about this machine, not about the server: to take a server out because the director has no
 * file descriptor left would turn a small trouble into an outage.
 */
const OURS: ReadonlySet<string> = new Set([
  'EMFILE',
  'ENFILE',
  'ENOMEM',
  'ENOBUFS',
  'EAGAIN',
  'EADDRNOTAVAIL',
  'EADDRINUSE',
  'EACCES',
  'EPERM',
  'EINVAL',
  'EAFNOSUPPORT',
]);

const PORT_TAKEN: ReadonlySet<string> = new Set(['EADDRINUSE', 'EADDRNOTAVAIL']);

const SENTENCES: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  EPIPE: 'connection closed',
  ECONNABORTED: 'connection aborted',
  EHOSTUNREACH: 'host unreachable',
  EHOSTDOWN: 'host down',
  ENETUNREACH: 'network unreachable',
  ENETDOWN: 'network down',
  ETIMEDOUT: 'connection timed out',
  EMFILE: 'the director has no file descriptors left',
  ENFILE: 'the machine has no file descriptors left',
  ENOMEM: 'the director has no memory left',
  ENOBUFS: 'the director has no buffers left',
  EADDRNOTAVAIL: 'the source address is not on this machine, or has no ports left',
  EADDRINUSE: 'the source address has no ports left',
  EAFNOSUPPORT: 'this machine does not support the address family',
  CERT_HAS_EXPIRED: 'the certificate has expired',
  CERT_NOT_YET_VALID: 'the certificate is not valid yet',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'the certificate is self-signed',
  SELF_SIGNED_CERT_IN_CHAIN: 'the certificate ends in an authority that is not trusted',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'the certificate is of an authority that is not trusted',
  UNABLE_TO_GET_ISSUER_CERT: 'the certificate is of an authority that is not trusted',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'the certificate is of an authority that is not trusted',
  CERT_REVOKED: 'the certificate is revoked',
  ERR_TLS_CERT_ALTNAME_INVALID: 'the certificate is for another name',
  HPE_HEADER_OVERFLOW: 'the headers of the answer are too long',
};

/** The stable code of an error, or the empty text. */
export function codeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('code' in error)) return '';
  return String(error.code);
}

/** One line about an error. */
export function describeError(error: unknown): string {
  const code = codeOf(error);
  // Its code would say that it was reset, which is another way to end.
  if (error instanceof Error && error.message === 'socket hang up') {
    return 'connection closed before the answer';
  }
  const sentence = SENTENCES[code];
  if (sentence !== undefined) return sentence;
  if (code.startsWith('HPE_')) return `the answer is no HTTP (${code.slice('HPE_'.length)})`;
  const message = error instanceof Error ? error.message : String(error);
  const line = message.split('\n')[0]!.trim();
  return line === '' ? code || 'unknown error' : line;
}

/** Whether an error is about this machine rather than about the server. */
export function isOurFault(error: unknown): boolean {
  return OURS.has(codeOf(error));
}

/** Whether a socket may do better from another local port. */
export function isPortTaken(error: unknown): boolean {
  return PORT_TAKEN.has(codeOf(error));
}
