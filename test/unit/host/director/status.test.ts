import { describe, expect, test } from 'vitest';
import { RateMeter } from '../../../../host/director/status.ts';
import {
  createGauges,
  GAUGE_ASLEEP_MS,
  GAUGE_BUSY_TURNS,
  GAUGE_PACKETS,
} from '../../../../host/worker/gauges.ts';
import type { WorkerReport } from '../../../../host/worker/pool.ts';

function worker(): WorkerReport {
  return { id: 0, state: 'running', restarts: 2, gauges: createGauges() };
}

const counts = (packets: number) => ({
  receivedPackets: packets,
  receivedBytes: packets * 100,
  transmittedPackets: 2 * packets,
  transmittedBytes: packets * 200,
});

describe('rates', () => {
  test('before the second measurement: none, but the totals are there', () => {
    const meter = new RateMeter(0);
    const report = worker();
    meter.measure(1000, [counts(50)], [report]);
    expect(meter.worker(report)).toEqual({
      id: 0,
      state: 'running',
      busy: 0,
      packetsPerBurst: 0,
      restarts: 2,
    });
    expect(meter.port(0, counts(60))).toEqual({
      receive: { packets: 60, bytes: 6000, packetsPerSecond: 0, bytesPerSecond: 0 },
      transmit: { packets: 120, bytes: 12_000, packetsPerSecond: 0, bytesPerSecond: 0 },
    });
  });

  test('after it: what changed in between, for each second', () => {
    const meter = new RateMeter(0);
    const report = worker();
    meter.measure(1000, [counts(50)], [report]);
    report.gauges[GAUGE_ASLEEP_MS] = 500;
    report.gauges[GAUGE_BUSY_TURNS] = 10;
    report.gauges[GAUGE_PACKETS] = 160;
    meter.measure(3000, [counts(250)], [report]);
    expect(meter.worker(report)).toMatchObject({ busy: 0.75, packetsPerBurst: 16 });
    expect(meter.port(0, counts(250)).receive).toMatchObject({
      packetsPerSecond: 100,
      bytesPerSecond: 10_000,
    });
  });

  test('more sleep than time, as a sleep just ended has it: not below 0', () => {
    const meter = new RateMeter(0);
    const report = worker();
    meter.measure(0, [], [report]);
    report.gauges[GAUGE_ASLEEP_MS] = 2010;
    meter.measure(2000, [], [report]);
    expect(meter.worker(report).busy).toBe(0);
  });

  test('a port whose interface is gone: nothing', () => {
    const meter = new RateMeter(0);
    expect(meter.port(3, undefined).receive.packets).toBe(0);
  });
});
