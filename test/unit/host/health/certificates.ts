/** Certificates of a test run, made with openssl(1) in a directory of their own. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A certificate and its key, as files and as PEM. */
export interface Certificate {
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** A directory with an authority; remove() it after the tests. */
export class Certificates {
  readonly directory = mkdtempSync(join(tmpdir(), 'wvs-certificates-'));
  readonly authority: Certificate;
  #serial = 1;

  constructor() {
    const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '30'];
    this.#run([...request, '-subj', '/CN=Test CA', '-keyout', 'ca.key', '-out', 'ca.pem']);
    this.authority = this.#certificate('ca');
  }

  /** A self-signed one. */
  selfSigned(): Certificate {
    const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '30'];
    this.#run([...request, '-subj', '/CN=self', '-keyout', 'self.key', '-out', 'self.pem']);
    return this.#certificate('self');
  }

  /** One of the authority's. The dates are openssl's: YYMMDDHHMMSSZ. */
  issue(name: string, { from, to, alt }: { from: string; to: string; alt: string }): Certificate {
    const subject = ['-subj', `/CN=${name}`];
    const keys = ['-keyout', `${name}.key`, '-out', `${name}.csr`];
    this.#run(['req', '-newkey', 'rsa:2048', '-nodes', ...subject, ...keys]);
    const configuration = [
      '[ca]',
      'default_ca = test',
      '[test]',
      `database = ${this.directory}/index.txt`,
      `new_certs_dir = ${this.directory}`,
      'default_md = sha256',
      'policy = any',
      'unique_subject = no',
      'x509_extensions = names',
      'rand_serial = yes',
      '[any]',
      'commonName = supplied',
      '[names]',
      `subjectAltName = ${alt}`,
    ];
    const file = `ca-${this.#serial++}.cnf`;
    writeFileSync(join(this.directory, file), configuration.join('\n'));
    writeFileSync(join(this.directory, 'index.txt'), '');
    const dates = ['-startdate', from, '-enddate', to];
    const files = ['-in', `${name}.csr`, '-out', `${name}.pem`];
    const signer = ['-cert', 'ca.pem', '-keyfile', 'ca.key'];
    this.#run(['ca', '-batch', '-config', file, ...signer, ...dates, ...files, '-notext']);
    return this.#certificate(name);
  }

  remove(): void {
    rmSync(this.directory, { recursive: true });
  }

  #certificate(name: string): Certificate {
    const certificateFile = join(this.directory, `${name}.pem`);
    const keyFile = join(this.directory, `${name}.key`);
    const [cert, key] = [readFileSync(certificateFile), readFileSync(keyFile)];
    return { certificateFile, keyFile, cert, key };
  }

  #run(args: readonly string[]): void {
    execFileSync('openssl', args, { cwd: this.directory, stdio: 'pipe' });
  }
}

/** A date as openssl ca takes it, so many days from now. */
export function openSslDate(days: number): string {
  const iso = new Date(Date.now() + days * 86_400_000).toISOString();
  return `${iso.slice(2, 19).replace(/[-:T]/g, '')}Z`;
}
