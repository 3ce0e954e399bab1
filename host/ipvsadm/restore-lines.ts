/** A line of a file to restore, as arguments. */
export interface RestoreLine {
  /** From 1. */
  readonly number: number;
  readonly args: readonly string[];
}

/**
 * Splits what -R reads. Words are separated by blanks, without quoting; the word `ipvsadm` is
 * dropped wherever it stands. There are no comments: # is a word. Empty lines give no arguments.
 */
export function restoreLines(text: string): readonly RestoreLine[] {
  const lines = text.split('\n');
  const last = lines.pop()!;
  // ipvsadm forgets a last line that ends in two blanks instead of a line end.
  if (!/[ \t\r]{2}$/.test(last)) lines.push(last);
  return lines.map((line, i) => ({
    number: i + 1,
    args: line.split(/[ \t\r]+/).filter((word) => word !== '' && word !== 'ipvsadm'),
  }));
}
