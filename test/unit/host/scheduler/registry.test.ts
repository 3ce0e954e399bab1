import { expect, test } from 'vitest';
import * as codes from '../../../../assembly/shared/codes.ts';
import {
  schedulerByCode,
  schedulerByName,
  schedulerNames,
} from '../../../../host/scheduler/registry.ts';

test('every SCHEDULER_* code names the scheduler of that name', () => {
  const named = Object.entries(codes).filter(([name]) => name.startsWith('SCHEDULER_'));
  expect(named).toHaveLength(schedulerNames.length);
  for (const [constant, code] of named) {
    const name = constant.slice('SCHEDULER_'.length).toLowerCase();
    expect(schedulerByName(name)?.code, constant).toBe(code);
    expect(schedulerByCode(code)?.name, constant).toBe(name);
  }
});

test('the names: in the order of ipvsadm -h', () => {
  expect(schedulerNames.join(' ')).toBe('rr wrr lc wlc lblc lblcr dh sh sed nq fo ovf mh twos');
});

test('unknown names and codes: undefined', () => {
  expect(schedulerByName('rrr')).toBeUndefined();
  expect(schedulerByName('constructor')).toBeUndefined();
  expect(schedulerByCode(0)).toBeUndefined();
  expect(schedulerByCode(15)).toBeUndefined();
});
