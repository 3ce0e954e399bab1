/** A table in Markdown; a column whose head ends in ":" is aligned to the right. */
export function markdownTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const rule = head.map((title) => (title.endsWith(':') ? '---:' : '---'));
  const titles = head.map((title) => title.replace(/:$/, ''));
  return [titles, rule, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
