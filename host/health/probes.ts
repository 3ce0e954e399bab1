// From a check's type to its probe.

import type { CheckConfig } from '../config/types.ts';
import type { Probe, ProbeTarget } from './probe.ts';
import { commandProbe } from './probe-command.ts';
import { dnsProbe } from './probe-dns.ts';
import { fileProbe } from './probe-file.ts';
import { grpcProbe } from './probe-grpc.ts';
import { httpProbe, httpsProbe } from './probe-http.ts';
import { icmpProbe } from './probe-icmp.ts';
import { smtpProbe } from './probe-smtp.ts';
import { tcpProbe } from './probe-tcp.ts';
import { udpProbe } from './probe-udp.ts';
import { viaVipProbe } from './via-vip.ts';
import type { VipWays } from './vip-ways.ts';

/** The probe of a check on a target; `ways` are for targets with a virtual address. */
export function createProbe(target: ProbeTarget, check: CheckConfig, ways?: VipWays): Probe {
  const probe = ownProbe(target, check);
  const { virtual } = target;
  if (virtual === undefined) return probe;
  return viaVipProbe({ target: { ...target, virtual }, type: check.type, probe, ways });
}

function ownProbe(target: ProbeTarget, check: CheckConfig): Probe {
  switch (check.type) {
    case 'icmp':
      return icmpProbe(target, check);
    case 'tcp':
      return tcpProbe(target, check);
    case 'http':
      return httpProbe(target, check);
    case 'https':
      return httpsProbe(target, check);
    case 'udp':
      return udpProbe(target, check);
    case 'dns':
      return dnsProbe(target, check);
    case 'smtp':
      return smtpProbe(target, check);
    case 'grpc':
      return grpcProbe(target, check);
    case 'command':
      return commandProbe(target, check);
    case 'file':
      return fileProbe(check);
  }
}
