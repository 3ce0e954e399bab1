import { describe, expect, test } from 'vitest';
import { formatSummary } from '../../support/summary-reporter.ts';

describe('the end of a run', () => {
  test('nothing skipped: only the counts', () => {
    expect(formatSummary({ passed: 3, failed: 0, skipped: [] })).toBe(
      '\n3 passed, 0 failed, 0 skipped\n',
    );
  });

  test('what was skipped is listed with its reason, and the counts come last', () => {
    const skipped = [{ test: 'a.test.ts > b', reason: 'needs root' }];
    expect(formatSummary({ passed: 1, failed: 2, skipped })).toBe(
      '\nSKIPPED:\n  a.test.ts > b\n    because: needs root\n\n1 passed, 2 failed, 1 skipped\n',
    );
  });
});
