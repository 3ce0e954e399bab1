/**
 * A regular expression of PCRE as one of JavaScript that matches the same, as far as there is one.
 *
 *   PCRE                                   JavaScript, with the flag u
 *   .                                      [^\n]; it has other line ends beside the newline
 *   . with dotall                          [^]
 *   $                                      (?![^\n]|\n[^]); it also matches before a last newline
 *   $ with dollar_endonly                  (?![^])
 *   ^ and $ with multiline                 (?<![^\n]) and (?![^\n])
 *   \v                                     all vertical blanks, not one of them
 *   \A \z \Z                               (?<![^]) (?![^]) (?![^\n]|\n[^])
 *   \- \" \: and other escapes of no need  the character alone
 *   blanks and comments, with extended     nothing
 *
 * Whatever else JavaScript does not know (possessive quantifiers, recursion, POSIX classes, flags in
 * the middle) its own parser refuses.
 */

/** Options of PCRE that are always on here, or do not change what matches. */
const WITHOUT_EFFECT: ReadonlySet<string> = new Set([
  'auto_callout',
  'never_backslash_c',
  'never_ucp',
  'never_utf',
  'no_auto_capture',
  'no_auto_possess',
  'no_dotstar_anchor',
  'no_start_optimize',
  'ucp',
  'ungreedy',
  'use_offset_limit',
  'utf',
]);

const TRANSLATED: ReadonlySet<string> = new Set([
  'caseless',
  'dollar_endonly',
  'dotall',
  'extended',
  'multiline',
]);

/** What a check of WVS says. */
export interface TranslatedRegex {
  readonly source: string;
  /** For the key `bodyFlags`. */
  readonly flags: string | undefined;
}

const ANY = '[^]';
const NOT_NEWLINE = '[^\\n]';
const TEXT_START = '(?<![^])';
const TEXT_END = '(?![^])';
const LAST_LINE_END = '(?![^\\n]|\\n[^])';
const LINE_START = '(?<![^\\n])';
const LINE_END = '(?![^\\n])';
const VERTICAL_BLANKS = '\\n\\v\\f\\r\\x85\\u2028\\u2029';

/** Escapes that JavaScript has, or that are for its parser to refuse. */
const KEPT_ESCAPE = /[\w^$\\.*+?()[\]{}|/]/;

/** Translates, or says in a word what there is nothing for. */
export function translateRegex(
  source: string,
  options: readonly string[],
): TranslatedRegex | { readonly trouble: string } {
  const known = (option: string) => WITHOUT_EFFECT.has(option) || TRANSLATED.has(option);
  const unknown = options.filter((option) => !known(option));
  if (unknown.length > 0) return { trouble: `WVS has no option ${unknown.join(', ')} for it` };
  const result = translate(source, new Set(options));
  const flags = options.includes('caseless') ? 'i' : undefined;
  try {
    new RegExp(result, `u${flags ?? ''}`);
    return { source: result, flags };
  } catch {
    return { trouble: `WVS does not understand "${source}"` };
  }
}

const PIECES = /\\[\s\S]|\[\^?\]?(?:\\[\s\S]|[^\]\\])*\]|[\s\S]/gu;

function translate(source: string, options: ReadonlySet<string>): string {
  let result = '';
  let isComment = false;
  for (const [piece] of source.matchAll(PIECES)) {
    if (options.has('extended')) {
      if (isComment) {
        isComment = piece !== '\n';
        continue;
      }
      isComment = piece === '#';
      if (isComment || /^\s$/.test(piece)) continue;
    }
    result += translatePiece(piece, options);
  }
  return result;
}

function translatePiece(piece: string, options: ReadonlySet<string>): string {
  const isMultiline = options.has('multiline');
  switch (piece) {
    case '.':
      return options.has('dotall') ? ANY : NOT_NEWLINE;
    case '^':
      return isMultiline ? LINE_START : piece;
    case '$':
      if (isMultiline) return LINE_END;
      return options.has('dollar_endonly') ? TEXT_END : LAST_LINE_END;
    case '\\A':
      return TEXT_START;
    case '\\z':
      return TEXT_END;
    case '\\Z':
      return LAST_LINE_END;
    default:
      return piece.length > 1 ? unescaped(piece) : piece;
  }
}

/** An escape, or a class with escapes in it, without those of no need. */
function unescaped(piece: string): string {
  const isClass = piece.startsWith('[');
  return piece.replace(/\\([\s\S])/gu, (whole, char: string) => {
    if (char === 'v') return isClass ? VERTICAL_BLANKS : `[${VERTICAL_BLANKS}]`;
    // In a class a dash that is not escaped would make a range.
    return KEPT_ESCAPE.test(char) || (isClass && char === '-') ? whole : char;
  });
}
