/**
 * Ends a run with the one line that the continuous integration reads, `N passed, N failed,
 * N skipped`, after the list of what was skipped and why: a test that quietly does not run
 * is worse than one that fails.
 */

import type { Reporter, SerializedError, TestCase, TestModule } from 'vitest/node';

const NO_REASON = 'no reason given: use context.skip(reason)';

/** The outcome of a run, as counted from its modules. */
export interface Summary {
  passed: number;
  failed: number;
  skipped: { test: string; reason: string }[];
}

/** Counts the tests of `modules`; a module that failed to load counts as one failure. */
export function summarize(
  modules: Iterable<Pick<TestModule, 'children' | 'relativeModuleId' | 'errors'>>,
  unhandledErrors: number,
): Summary {
  const summary: Summary = { passed: 0, failed: unhandledErrors, skipped: [] };
  for (const module of modules) {
    summary.failed += module.errors().length;
    for (const test of module.children.allTests()) {
      countTest(summary, `${module.relativeModuleId} > ${test.fullName}`, test);
    }
    for (const suite of module.children.allSuites()) {
      summary.failed += suite.errors().length;
    }
  }
  return summary;
}

function countTest(summary: Summary, name: string, test: TestCase): void {
  const result = test.result();
  switch (result.state) {
    case 'passed':
      summary.passed++;
      break;
    case 'failed':
      summary.failed++;
      break;
    case 'skipped':
      summary.skipped.push({ test: name, reason: result.note ?? reasonAround(test) });
      break;
    default:
      // Still pending at the end of a run: it was cut short, and that is no success.
      summary.failed++;
  }
}

/** When the hooks of a suite fail, vitest says of its tests only that they were skipped. */
function reasonAround(test: TestCase): string {
  let parent: TestCase['parent'] | undefined = test.parent;
  while (parent !== undefined) {
    if (parent.errors().length > 0) return 'what comes before it failed';
    parent = parent.type === 'suite' ? parent.parent : undefined;
  }
  return NO_REASON;
}

/** The text printed at the end of a run; its last line is the counts. */
export function formatSummary(summary: Summary): string {
  const lines: string[] = [];
  if (summary.skipped.length > 0) {
    lines.push('', 'SKIPPED:');
    for (const { test, reason } of summary.skipped) {
      lines.push(`  ${test}`, `    because: ${reason}`);
    }
  }
  const { passed, failed, skipped } = summary;
  lines.push('', `${passed} passed, ${failed} failed, ${skipped.length} skipped`);
  return `${lines.join('\n')}\n`;
}

/** vitest loads a reporter by its file's default export; this is the one such file. */
// biome-ignore lint/style/noDefaultExport: vitest asks for it.
export default class SummaryReporter implements Reporter {
  onTestRunEnd(
    modules: ReadonlyArray<TestModule>,
    unhandledErrors: ReadonlyArray<SerializedError>,
  ): void {
    const text = formatSummary(summarize(modules, unhandledErrors.length));
    // The default reporter prints in the same event; this has to be the last thing said.
    process.once('exit', () => process.stdout.write(text));
  }
}
