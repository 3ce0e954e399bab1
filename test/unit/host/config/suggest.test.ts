import { expect, test } from 'vitest';
import { editDistance, suggest } from '../../../../host/config/suggest.ts';

const KEYS = ['localAddresses', 'queues', 'upperThreshold', 'rr', 'wrr', 'wlc', 'persistence'];

test.each([
  ['queue', 'queues'],
  ['local_addresses', 'localAddresses'],
  ['LocalAddreses', 'localAddresses'],
  ['upperTreshold', 'upperThreshold'],
  ['persistance', 'persistence'],
  ['wllc', 'wlc'],
  ['banana', undefined],
  ['xx', undefined],
  ['', undefined],
])('%j means %j', (word, meant) => {
  expect(suggest(word, KEYS)).toBe(meant);
});

test.each([
  ['', 'abc', 3],
  ['abc', 'abc', 0],
  ['abcd', 'abdc', 1],
  ['kitten', 'sitting', 3],
])('%j and %j are %d apart', (a, b, distance) => {
  expect(editDistance(a, b)).toBe(distance);
  expect(editDistance(b, a)).toBe(distance);
});
