import { readFileSync } from 'node:fs';
import { STEERING_OUTCOMES } from 'af-xdp-socket';
import { describe, expect, test } from 'vitest';
import * as limits from '../../../../assembly/shared/limits.ts';
import { Sysctls } from '../../../../host/ipvs/sysctls.ts';
import {
  COUNTER_SENTENCES,
  STEERING_SENTENCES,
} from '../../../../host/reference/counter-sentences.ts';
import { LEFT_OUT, LIMIT_SENTENCES } from '../../../../host/reference/limits-page.ts';
import { referencePages } from '../../../../host/reference/pages.ts';
import { SYSCTL_SENTENCES } from '../../../../host/reference/sysctl-sentences.ts';
import { COUNTER_NAMES } from '../../../../host/stats/counter-names.ts';

const DOCS = new URL('../../../../host/docs/', import.meta.url);

test.each([...referencePages()])('%s says what the definitions say', (name, text) => {
  const hint = 'out of date: npm run build && node dist/host/reference/pages.js';
  expect(readFileSync(new URL(name, DOCS), 'utf8'), hint).toBe(text);
});

describe('nothing is without a sentence, and no sentence without its thing', () => {
  test.each([
    ['counters', COUNTER_NAMES.filter((name) => !['', 'none'].includes(name)), COUNTER_SENTENCES],
    ['steering', STEERING_OUTCOMES, STEERING_SENTENCES],
    ['sysctls', Sysctls.names(), SYSCTL_SENTENCES],
    ['limits', Object.keys(limits).filter((name) => !LEFT_OUT.has(name)), LIMIT_SENTENCES],
  ])('%s', (_, names, sentences) => {
    expect(Object.keys(sentences).sort()).toEqual([...names].sort());
    for (const sentence of Object.values(sentences)) expect(sentence).toMatch(/^[A-Z0-9].*\.$/);
  });
});
