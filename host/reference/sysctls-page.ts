// host/docs/sysctls.md, from the settings' definitions and sentences.

import { Sysctls } from '../ipvs/sysctls.ts';
import { SYSCTL_SENTENCES } from './sysctl-sentences.ts';
import { markdownTable } from './table.ts';

const HEAD = `# net.ipv4.vs.*

The kernel's settings for IPVS keep their names and defaults, but belong to the director, not to the machine: what
sysctl(8) says has no effect here. They stand in the configuration, and a reload takes changes over:

    director:
      sysctl: { expire_nodest_conn: 1, expire_quiescent_template: 1 }
`;

const DEFENCE = `A *defence mode* is 0 off, 1 on while memory is short, 2 the same (the kernel shows 1 as 2 while it is on), 3 on.

## Connections that reuse their ports

In the kernel with \`conntrack\` 1, the SYN of a client that reuses the ports of an old connection is dropped once, and
the client waits a second for nothing. That cannot happen here: there is no conntrack, and such a SYN is scheduled at
once, whatever \`conntrack\` says. With \`conn_reuse_mode\` 0 it goes to the server of the old connection, even when that
has weight 0 by now; with \`expire_nodest_conn\` 1 it does not.

## Removed servers

By default the packets of connections to a removed server are dropped, and clients wait until they give up. This is
IPVS's behaviour and so the default; \`expire_nodest_conn\` 1 is the better choice where servers do not come back.
`;

/** The page. */
export function sysctlsPage(): string {
  const sysctls = new Sysctls();
  const rows = Sysctls.names().map((name) => [
    `\`${name}\``,
    sysctls.text(name).replace('\t', ' '),
    SYSCTL_SENTENCES[name] ?? '',
  ]);
  const table = markdownTable(['name', 'default:', 'does'], rows);
  return [HEAD, `${table}\n`, DEFENCE].join('\n');
}
