/** All checks, and what they say about the facts. */

import { MACHINE_CHECKS } from './checks-machine.ts';
import { NETWORK_CHECKS } from './checks-network.ts';
import { PORT_CHECKS } from './checks-ports.ts';
import type { Facts } from './facts.ts';
import type { Check, Finding } from './finding.ts';

const CHECKS: readonly Check[] = [
  checkConfiguration,
  ...MACHINE_CHECKS,
  ...PORT_CHECKS,
  ...NETWORK_CHECKS,
];

/** Applies every check. */
export function diagnose(facts: Facts): Finding[] {
  return CHECKS.flatMap((check) => check(facts));
}

function checkConfiguration({ configuration, ports }: Facts): Finding[] {
  const check = 'configuration';
  if (configuration === undefined) {
    const names = ports.map(({ name }) => name).join(', ') || 'none';
    const saw = `none given: what is looked at are the Ethernet interfaces (${names})`;
    return [{ check, level: 'ok', saw }];
  }
  const { file, config, errors } = configuration;
  if (config !== undefined) return [{ check, level: 'ok', saw: file }];
  const saw = `${file} has ${errors} ${errors === 1 ? 'error' : 'errors'}`;
  return [{ check, level: 'fail', saw, fix: `wvs check --config ${file}` }];
}
