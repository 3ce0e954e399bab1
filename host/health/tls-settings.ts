// What checks over TLS have in common: trusted authorities, our own certificate, the name asked
// for, and how long the server's certificate has to last.

import { readFile, stat } from 'node:fs/promises';
import { isIP } from 'node:net';
import {
  type ConnectionOptions,
  createSecureContext,
  type SecureContext,
  type TLSSocket,
} from 'node:tls';
import { formatDuration } from '../config/duration.ts';
import type { Attempt } from './attempt.ts';

/** The keys of a check that are about TLS. */
export interface TlsCheck {
  readonly sni?: string | undefined;
  readonly host?: string | undefined;
  readonly verify?: boolean | undefined;
  readonly ca?: string | undefined;
  readonly certificate?: string | undefined;
  readonly key?: string | undefined;
  readonly validFor?: number | undefined;
}

type Files = Pick<TlsCheck, 'ca' | 'certificate' | 'key'>;

/** A context for the files a check names, made again when one of them has changed. */
export class TlsFiles {
  readonly #files: Files;
  #version = '';
  #context: SecureContext | undefined;

  constructor({ ca, certificate, key }: Files) {
    this.#files = { ca, certificate, key };
  }

  /** @throws when a file cannot be read or is no PEM */
  async context(): Promise<SecureContext> {
    const version = await this.#currentVersion();
    if (this.#context === undefined || version !== this.#version) {
      const { ca, certificate, key } = this.#files;
      this.#context = createSecureContext({
        ...(ca !== undefined && { ca: await readFile(ca) }),
        ...(certificate !== undefined && { cert: await readFile(certificate) }),
        ...(key !== undefined && { key: await readFile(key) }),
      });
      this.#version = version;
    }
    return this.#context;
  }

  async #currentVersion(): Promise<string> {
    const { ca, certificate, key } = this.#files;
    const names = [ca, certificate, key].filter((name) => name !== undefined);
    const stats = await Promise.all(names.map((name) => stat(name)));
    return stats.map(({ ino, mtimeMs, size }) => `${ino} ${mtimeMs} ${size}`).join(', ');
  }
}

/** The context of an attempt; undefined when it could not be made, and the attempt is over. */
export async function contextFor(
  files: TlsFiles,
  running: Attempt,
): Promise<SecureContext | undefined> {
  try {
    return await files.context();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    // The director's own files: nothing is known about the server.
    running.giveUp(`certificate files: ${reason}`);
    return undefined;
  }
}

/**
 * The options of a TLS connection. Without `verify` any certificate will do; the name that is asked
 * for, and verified, is `sni` or else the host name.
 */
export function tlsOptions(check: TlsCheck, secureContext: SecureContext): ConnectionOptions {
  return {
    secureContext,
    rejectUnauthorized: check.verify === true,
    servername: check.sni ?? hostNameOf(check.host),
  };
}

/** The host without its port; an address is no name that TLS could ask for. */
function hostNameOf(host: string | undefined): string {
  if (host === undefined) return '';
  const name = host.replace(/:\d+$/, '');
  return isIP(name.replace(/^\[|\]$/g, '')) === 0 ? name : '';
}

/** Says what is wrong with the dates of a server's certificate, or nothing. */
export function certificateTrouble(
  socket: TLSSocket,
  { validFor }: TlsCheck,
  wallMs: number,
): string | undefined {
  if (validFor === undefined) return undefined;
  const end = Date.parse(socket.getPeerCertificate().valid_to);
  if (Number.isNaN(end)) return 'the certificate does not say until when it is valid';
  const left = end - wallMs;
  if (left < 0) return 'the certificate has expired';
  if (left >= validFor) return undefined;
  const rounded = Math.floor(left / 60_000) * 60_000;
  return (
    `the certificate is valid for ${formatDuration(rounded)} only, ` +
    `expected ${formatDuration(validFor)}`
  );
}
