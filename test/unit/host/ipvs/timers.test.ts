import { describe, expect, it } from 'vitest';
import { Timers, wheelExpiry } from '../../../../host/ipvs/timers.ts';

describe('wheelExpiry: when Linux fires a timer', () => {
  it.each([
    [0, 1, 2],
    [0, 62, 63],
    [0, 63, 64],
    [1, 100, 104],
    [0, 200, 208],
    [208, 200, 416],
    [0, 503, 504],
    [0, 504, 512],
    [0, 6000, 6144],
    [0, 90_000, 90_112],
  ])('set at %i for %i ticks: fires at %i', (armed, delay, fires) => {
    expect(wheelExpiry(armed, delay)).toBe(fires);
  });
});

describe('Timers', () => {
  it('fire in the order they fall due, each at its own time', () => {
    const timers = new Timers(0, 'exact');
    const fired: string[] = [];
    timers.set('late', 20, () => fired.push(`late ${timers.now}`));
    const repeat = () => {
      fired.push(`repeat ${timers.now}`);
      timers.set('repeat', 8, repeat);
    };
    timers.set('repeat', 8, repeat);
    timers.run(7);
    expect(fired).toEqual([]);
    timers.run(25);
    expect(fired).toEqual(['repeat 8', 'repeat 16', 'late 20', 'repeat 24']);
    expect(timers.now).toBe(25);
  });

  it('set again: only the new one fires', () => {
    const timers = new Timers(100, 'exact');
    const fired: number[] = [];
    timers.set('one', 5, () => fired.push(1));
    timers.set('one', 9, () => fired.push(2));
    timers.run(200);
    expect(fired).toEqual([2]);
    expect(timers.isSet('one')).toBe(false);
  });

  it('the clock never goes back', () => {
    const timers = new Timers(100, 'exact');
    timers.run(50);
    expect(timers.now).toBe(100);
  });

  it('as late as the wheel: every 200 ticks is every 208', () => {
    const timers = new Timers(0, 'wheel');
    const fired: number[] = [];
    const repeat = () => {
      fired.push(timers.now);
      timers.set('estimator', 200, repeat);
    };
    timers.set('estimator', 200, repeat);
    timers.run(700);
    expect(fired).toEqual([208, 416, 624]);
  });
});
