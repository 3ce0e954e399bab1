// What the body of an HTTP answer has to be.

import { createHash } from 'node:crypto';

/** Bodies are looked at up to here; no health page is longer. */
export const BODY_BYTES_MAX = 1024 * 1024;

/** The keys of a check that are about the body. */
export interface BodyRules {
  readonly body?: string | undefined;
  readonly bodyNot?: string | undefined;
  /** Of both expressions. */
  readonly bodyFlags?: string | undefined;
  readonly contains?: string | undefined;
  readonly digest?: string | undefined;
}

/**
 * Says what is wrong with a body, or nothing. Rules are applied to what is there of it: a match in
 * the first part of a body that is too long is a match, but there is no digest of a part.
 */
export type BodyCheck = (body: Buffer, isWhole: boolean) => string | undefined;

/** Makes the check of the rules given, or undefined when any body will do. */
export function bodyCheck(rules: BodyRules): BodyCheck | undefined {
  const checks: BodyCheck[] = [];
  const flags = `u${rules.bodyFlags ?? ''}`;
  const cut = (isWhole: boolean) => (isWhole ? '' : ` in its first ${BODY_BYTES_MAX} bytes`);
  if (rules.body !== undefined) {
    const pattern = new RegExp(rules.body, flags);
    checks.push((body, isWhole) =>
      pattern.test(body.toString()) ? undefined : `the body does not match${cut(isWhole)}`,
    );
  }
  if (rules.contains !== undefined) {
    const wanted = Buffer.from(rules.contains);
    checks.push((body, isWhole) =>
      body.includes(wanted) ? undefined : `the body lacks the text${cut(isWhole)}`,
    );
  }
  if (rules.bodyNot !== undefined) {
    const pattern = new RegExp(rules.bodyNot, flags);
    checks.push((body) =>
      pattern.test(body.toString()) ? 'the body matches what it must not' : undefined,
    );
  }
  if (rules.digest !== undefined) checks.push(digestCheck(rules.digest.toLowerCase()));
  if (checks.length === 0) return undefined;
  return (body, isWhole) => {
    for (const check of checks) {
      const trouble = check(body, isWhole);
      if (trouble !== undefined) return trouble;
    }
    return undefined;
  };
}

const MD5_DIGITS = 32;

/** keepalived's genhash gives the MD5 of the body; a longer digest is a SHA-256. */
function digestCheck(wanted: string): BodyCheck {
  const algorithm = wanted.length === MD5_DIGITS ? 'md5' : 'sha256';
  return (body, isWhole) => {
    if (!isWhole) return `the body is longer than ${BODY_BYTES_MAX} bytes`;
    const digest = createHash(algorithm).update(body).digest('hex');
    return digest === wanted ? undefined : `the body's ${algorithm} digest is ${digest}`;
  };
}
