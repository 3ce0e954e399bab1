import { expect, test } from 'vitest';
import { STATS_IN_PACKETS } from '../../../../assembly/shared/layout.ts';
import { Fixture, OPTIONS, SERVER, server, WEB } from './control-fixture.ts';

test('what is listed live has the counters of this moment', () => {
  const fixture = new Fixture();
  const { control, memory } = fixture;
  control.addService(WEB, OPTIONS);
  control.addDestination(WEB, server(1), SERVER);
  const service = memory.serviceStatistics(0, control.service(WEB)!.id);
  const destination = memory.destinationStatistics(1, fixture.id(WEB, 1));
  memory.u64[(service + STATS_IN_PACKETS) >>> 3] += 5n;
  memory.u64[(destination + STATS_IN_PACKETS) >>> 3] += 2n;
  const list = () => [
    control.services()[0]!.statistics.inPackets,
    control.service(WEB)!.statistics.inPackets,
    control.destinations(WEB)[0]!.statistics.inPackets,
  ];
  expect(list()).toEqual([0n, 0n, 0n]);
  expect(control.live(list)).toEqual([5n, 5n, 2n]);
  expect(list()).toEqual([0n, 0n, 0n]);
});
