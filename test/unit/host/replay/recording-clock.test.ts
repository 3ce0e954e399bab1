import { describe, expect, it } from 'vitest';
import type { RecordedStep } from '../../../../host/replay/recording.ts';
import {
  RecordingClock,
  TICKS_AT_START,
  tickAt,
  timeOfTick,
} from '../../../../host/replay/recording-clock.ts';

function step(time: number, line: string, over: Partial<RecordedStep> = {}): RecordedStep {
  return { number: 1, time, line, ...over };
}

const PACKET = { input: [] };

describe('RecordingClock', () => {
  it('packets: take their own time between the times that are written', () => {
    const clock = new RecordingClock();
    const written = [0.01, 0.01, 0.01, 0.01, 0.02, 0.02, 0.02];
    const times = written.map((time) => {
      const packet = step(time, 'udp u', PACKET);
      clock.begin(packet);
      const { milliseconds } = clock;
      clock.end(packet);
      return milliseconds;
    });
    // 11.6 ms for the first step, then 1.05 ms each; never further from the written time than 5 ms.
    expect(times[0]).toBeCloseTo(11.6);
    expect(times[3]).toBeCloseTo(11.6 + 3 * 1.0525);
    for (const [index, time] of times.entries()) {
      expect(Math.abs(time - written[index] * 1000)).toBeLessThanOrEqual(5);
      if (index > 0) expect(time).toBeGreaterThan(times[index - 1]);
    }
  });

  it('a recording that begins at 0: begins there', () => {
    const clock = new RecordingClock();
    clock.begin(step(0, '$ x'));
    expect(clock.milliseconds).toBe(0);
  });

  it('a command that took long: the written time tells', () => {
    const clock = new RecordingClock();
    clock.begin(step(0.01, '$ ipvsadm -L'));
    clock.begin(step(90.1, '$ x'));
    expect(clock.milliseconds).toBe(90_100);
  });

  it('a sleep and a listing: their waits pass', () => {
    const clock = new RecordingClock();
    const sleep = step(0.01, 'sleep 2.5');
    clock.begin(sleep);
    clock.sleep(sleep);
    expect(clock.milliseconds).toBeCloseTo(11.6 + 2500 + 1.15);
    clock.waitForListing();
    expect(clock.milliseconds).toBeCloseTo(11.6 + 5500 + 1.15);
  });
});

describe('tickAt', () => {
  it('the start of every tick: is in it, what is just before is not', () => {
    for (let tick = TICKS_AT_START; tick < TICKS_AT_START + 1000; tick++) {
      expect(tickAt(timeOfTick(tick) + 0.001)).toBe(tick);
      expect(tickAt(timeOfTick(tick) - 0.001)).toBe(tick - 1);
    }
  });
});
