/** The checkers HTTP_GET and SSL_GET. */

import type { PlainMapping } from '../model.ts';
import type { Statement } from './blocks.ts';
import { translateRegex } from './regex.ts';
import type { TlsFiles } from './tls-files.ts';
import { type Handlers, readBlock, type Values } from './values.ts';

/** What is asked for and expected of one URL. */
interface UrlDraft {
  readonly statement: Statement;
  path?: string | undefined;
  digest?: string | undefined;
  status?: string | undefined;
  virtualhost?: string | undefined;
  regex?: { readonly statement: Statement; readonly source: string } | undefined;
  isNegated: boolean;
  options: readonly string[];
}

/** A checker of HTTP or HTTPS while its block is read. */
export class HttpCheck {
  readonly #values: Values;
  readonly #statement: Statement;
  readonly #urls: UrlDraft[] = [];
  #hasSni = false;
  /** Of all urls that have none of their own. */
  #virtualhost: string | undefined;

  constructor(statement: Statement, values: Values) {
    this.#statement = statement;
    this.#values = values;
  }

  get handlers(): Handlers {
    const isTls = this.#statement.keyword === 'SSL_GET';
    return {
      url: (statement) => this.#readUrl(statement),
      enable_sni: isTls ? (statement) => this.#readSni(statement) : undefined,
      virtualhost: (statement) => {
        this.#virtualhost = this.#values.text(statement) ?? this.#virtualhost;
      },
      http_protocol: (statement) => this.#readProtocol(statement),
      // Each url is a check of its own, so that none waits for another anyway.
      fast_recovery: (statement) => {
        this.#values.flag(statement);
      },
    };
  }

  /** The fields of a check for each url; none when there is nothing to ask for. */
  checks(virtualhost: string | undefined, tls: TlsFiles): readonly PlainMapping[] {
    const urls = this.#urls.filter((url) => this.#hasPath(url));
    if (urls.length === 0) {
      this.#values.lost(this.#statement, `${this.#statement.keyword} is left out: it has no url`);
    }
    return urls.map((url) => this.#checkOf(url, virtualhost, tls));
  }

  #checkOf(url: UrlDraft, virtualhost: string | undefined, tls: TlsFiles): PlainMapping {
    const isTls = this.#statement.keyword === 'SSL_GET';
    const host = url.virtualhost ?? this.#virtualhost ?? virtualhost;
    if (this.#hasSni && host === undefined) {
      const message = 'enable_sni is left out: no virtualhost says which name to ask for';
      this.#values.lost(this.#statement, message);
    }
    return {
      type: isTls ? 'https' : 'http',
      path: url.path,
      host,
      status: url.status,
      digest: url.digest,
      ...this.#bodyOf(url),
      sni: this.#hasSni ? host : undefined,
      ...(isTls && tls),
    };
  }

  #readProtocol(statement: Statement): void {
    const version = this.#values.text(statement);
    if (version === undefined || version === '1.1') return;
    const isKnown = version === '1.0' || version.toUpperCase() === '1.0C';
    const message = isKnown
      ? 'http_protocol is left out: WVS asks with HTTP 1.1'
      : `http_protocol: expected 1.0, 1.0C or 1.1, got "${version}"`;
    this.#values.lost(statement, message);
  }

  #readSni(statement: Statement): void {
    this.#hasSni = this.#values.flag(statement) ?? this.#hasSni;
  }

  #hasPath({ statement, path }: UrlDraft): boolean {
    if (path === undefined) this.#values.lost(statement, 'this url is left out: it has no path');
    return path !== undefined;
  }

  #readUrl(statement: Statement): void {
    const url: UrlDraft = { statement, isNegated: false, options: [] };
    this.#urls.push(url);
    readBlock(statement, {
      handlers: urlHandlers(url, this.#values),
      unexpressed: {
        regex_stack: 'WVS has no such limit',
        regex_min_offset: 'the whole body is searched',
        regex_max_offset: 'the whole body is searched',
      },
      values: this.#values,
    });
  }

  /** What the body has to be like, in JavaScript's words. */
  #bodyOf({ regex, options, isNegated }: UrlDraft): PlainMapping {
    if (regex === undefined) return {};
    const translated = translateRegex(regex.source, options);
    if ('trouble' in translated) {
      this.#values.lost(regex.statement, `regex is left out: ${translated.trouble}`);
      return {};
    }
    const { source, flags } = translated;
    return { [isNegated ? 'bodyNot' : 'body']: source, bodyFlags: flags };
  }
}

function urlHandlers(url: UrlDraft, values: Values): Handlers {
  return {
    path: (statement) => {
      const path = values.text(statement);
      if (path === undefined || /^\/\S*$/.test(path)) url.path = path ?? url.path;
      else if (/^\S+$/.test(path)) {
        // keepalived sends it as it is, which no server takes for a path.
        values.lost(statement, `path is taken as /${path}: a path starts with "/"`);
        url.path = `/${path}`;
      } else values.lost(statement, `path: expected no blanks, got "${path}"`);
    },
    digest: (statement) => {
      const digest = values.text(statement);
      if (digest === undefined) return;
      if (/^[0-9a-fA-F]{32}$/.test(digest)) url.digest = digest;
      else values.lost(statement, `digest: expected 32 hexadecimal digits, got "${digest}"`);
    },
    status_code: (statement) => {
      url.status = readStatus(statement, values) ?? url.status;
    },
    virtualhost: (statement) => {
      url.virtualhost = values.text(statement) ?? url.virtualhost;
    },
    regex: (statement) => {
      const source = values.escaped(statement)?.[0];
      if (source === undefined) values.lost(statement, 'regex has no value');
      else url.regex = { statement, source };
    },
    regex_no_match: () => {
      url.isNegated = true;
    },
    regex_options: (statement) => {
      url.options = statement.args;
    },
  };
}

/** `200-299 400 503` as `200-299,400,503`. */
function readStatus(statement: Statement, values: Values): string | undefined {
  const ranges = statement.args.filter((text) => {
    const [first = 0, last = first] = text.split('-').map(Number);
    const isRange = /^\d{3}(-\d{3})?$/.test(text);
    const isGood = isRange && first >= 100 && last >= first && last <= 599;
    if (!isGood) {
      const message = `status_code: expected codes from 100 to 599, got "${text}"`;
      values.lost(statement, message);
    }
    return isGood;
  });
  return ranges.length === 0 ? undefined : ranges.join(',');
}
