// A probe of the virtual address through the server: the check's own probe, on a way that leads
// there.

import type { CheckConfig } from '../config/types.ts';
import { describeError } from './describe-error.ts';
import type { Probe, ProbeResult } from './probe.ts';
import type { VipWay, VipWays, WayTarget } from './vip-ways.ts';

/** A port that somebody else has is followed by another one, so many times. */
const TRIES_MAX = 8;

const UDP_CHECKS: ReadonlySet<CheckConfig['type']> = new Set(['udp', 'dns']);

/** What a probe through the server is made of. */
export interface ViaVip {
  readonly target: WayTarget;
  readonly type: CheckConfig['type'];
  /** Probes the server's own address, from the local port it is given. */
  readonly probe: Probe;
  /** undefined: there is nobody who could rewrite packets. */
  readonly ways: VipWays | undefined;
}

/** A probe that passes when the server answers as the virtual address. */
export function viaVipProbe({ target, type, probe, ways }: ViaVip): Probe {
  const protocol = UDP_CHECKS.has(type) ? 'udp' : 'tcp';
  return async (signal) => {
    for (let tries = 1; ; tries++) {
      let way: VipWay;
      try {
        if (ways === undefined) return notPossible('no director runs');
        way = ways.open(target, protocol);
      } catch (error) {
        return notPossible(describeError(error));
      }
      const result = await probe(signal, way.localPort);
      const wasUsed = way.wasUsed();
      way.close();
      if (result.isPortTaken === true && tries < TRIES_MAX) continue;
      // An answer to what was not rewritten is the server's own, and says nothing of the address.
      if (result.ok && !wasUsed)
        return notPossible('the way to the server is by none of the ports');
      return result;
    }
  };
}

function notPossible(why: string): ProbeResult {
  return { ok: false, isOurs: true, detail: `via: vip is not possible: ${why}`, latencyMs: 0 };
}
