import { expect, test } from 'vitest';
import { SERVICE_STATE_LOCK, WORKER_HELD_LOCK } from '../../../../assembly/shared/layout.ts';
import {
  acquireLock,
  releaseLock,
  releaseLockOfDeadWorker,
} from '../../../../host/scheduler/spin-lock.ts';
import { BedMemory } from './service-bed.ts';

const { memory } = new BedMemory();
const lock = memory.serviceState(1) + SERVICE_STATE_LOCK;
const [first, second] = [memory.worker(0), memory.worker(1)];

function held(worker: number): number {
  return memory.u32[(worker + WORKER_HELD_LOCK) >>> 2];
}

test('acquired by a worker: the worker says which lock it holds until it releases it', () => {
  acquireLock(memory, lock, first);
  expect(held(first)).toBe(lock);
  expect(memory.u32[lock >>> 2]).not.toBe(0);
  releaseLock(memory, lock, first);
  expect(held(first)).toBe(0);
  expect(memory.u32[lock >>> 2]).toBe(0);
});

test('a worker dies with the lock: the host releases it, once', () => {
  acquireLock(memory, lock, first);
  expect(releaseLockOfDeadWorker(memory, first)).toBe(true);
  expect(memory.u32[lock >>> 2]).toBe(0);
  expect(releaseLockOfDeadWorker(memory, first)).toBe(false);
});

test('a worker dies waiting: the lock stays with the one that has it', () => {
  acquireLock(memory, lock, second);
  memory.u32[(first + WORKER_HELD_LOCK) >>> 2] = lock;
  expect(releaseLockOfDeadWorker(memory, first)).toBe(false);
  expect(memory.u32[lock >>> 2]).toBe(second);
  releaseLock(memory, lock, second);
});
