// Probes of a virtual address through a server: what the two programs make of a frame, by the
// kernel's own test run of the committed bytecode, and a socket that gets its answers that way.

import { once } from 'node:events';
import type { ProbePathOptions } from 'af-xdp-socket';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import {
  ethernet,
  gre,
  gue,
  ipv4,
  ipv6,
  type Layer,
  packet,
  payload,
  tcp,
  toHex,
  udp,
} from '../../support/packet-builder.ts';
import { Namespace, removeNamespacesAfterwards, skipUnlessPossible } from './namespace.ts';

const possible = skipUnlessPossible();
removeNamespacesAfterwards();

const NEXT = -1;
const LOCAL_PORT = 40_001;
const PORT = 80;
const GUE_PORT = 6080;
const HOPS_LEFT = 2;

const FAMILIES = {
  ipv4: { director: '10.0.0.1', server: '10.0.0.11', vip: '192.0.2.80', other: '10.0.0.12' },
  ipv6: {
    director: '2001:db8:a::1',
    server: '2001:db8:a::11',
    vip: '2001:db8::80',
    other: '2001:db8:a::12',
  },
} as const;
type Family = keyof typeof FAMILIES;
type Protocol = 'tcp' | 'udp';
type Way = 'direct-route' | 'ipip' | 'gre' | 'gue';

const WAYS: readonly Way[] = ['direct-route', 'ipip', 'gre', 'gue'];
const eth = ethernet();

interface Fields {
  readonly hops?: number;
  readonly fragment?: boolean;
}

function ip(family: Family, source: string, destination: string, fields: Fields = {}): Layer {
  const { hops = 64, fragment = false } = fields;
  if (family === 'ipv6') return ipv6({ source, destination, hopLimit: hops });
  const whole = { source, destination, timeToLive: hops };
  return ipv4(fragment ? { ...whole, moreFragments: true } : { ...whole, dontFragment: true });
}

function transport(protocol: Protocol, sourcePort: number, destinationPort: number): Layer[] {
  const ports = { sourcePort, destinationPort };
  return [protocol === 'tcp' ? tcp(ports) : udp(ports), payload(33)];
}

function path(family: Family, protocol: Protocol, way: Way): ProbePathOptions {
  const { server, vip: virtualAddress } = FAMILIES[family];
  return {
    ...{ protocol, server, virtualAddress, localPort: LOCAL_PORT, port: PORT },
    ...(way !== 'direct-route' && { tunnel: way }),
    ...(way === 'gue' && { guePort: GUE_PORT }),
  };
}

/** What stands in front of the probe's own headers. */
function outer(family: Family, way: Way): Layer[] {
  const { director, server } = FAMILIES[family];
  const header = ip(family, director, server);
  if (way === 'direct-route') return [];
  if (way === 'ipip') return [header];
  if (way === 'gre') return [header, gre()];
  const ports = { sourcePort: LOCAL_PORT, destinationPort: GUE_PORT };
  return [header, udp({ ...ports, checksum: 0 }), gue()];
}

interface Run {
  readonly path: ProbePathOptions;
  readonly direction: 'egress' | 'ingress';
  readonly frame: string;
}
interface Outcome {
  readonly verdict: number;
  readonly frame: string;
  readonly sent: number;
  readonly answered: number;
}

let net: Namespace;
beforeAll(() => {
  if (!possible) return;
  net = new Namespace();
  // Where test runs are received.
  net.execute('ip', 'link', 'set', 'lo', 'mtu', '1500');
});

function runAll(runs: readonly Run[]): Promise<Outcome[]> {
  return net.run(({ xdp }, list: readonly Run[]) => {
    const paths = xdp.ProbePaths.load({ capacity: 16 });
    return list.map(({ path, direction, frame }) => {
      const open = paths.open(path);
      const bytes = Uint8Array.from(Buffer.from(frame, 'hex'));
      const ran = paths.testRun(direction, bytes);
      const { sent, answered } = open;
      open.close();
      return {
        verdict: ran.verdict,
        frame: Buffer.from(ran.frame).toString('hex'),
        ...{ sent, answered },
      };
    });
  }, runs);
}

async function runOne(run: Omit<Run, 'frame'>, ...layers: Layer[]): Promise<Outcome> {
  const [outcome] = await runAll([{ ...run, frame: toHex(packet(...layers)) }]);
  return outcome!;
}

for (const family of ['ipv4', 'ipv6'] as const) {
  for (const protocol of ['tcp', 'udp'] as const) {
    describe(`${protocol} over ${family}`, () => {
      const { director, server, vip, other } = FAMILIES[family];
      const out = transport(protocol, LOCAL_PORT, PORT);
      const back = transport(protocol, PORT, LOCAL_PORT);

      for (const way of WAYS) {
        test(`out, ${way}: the virtual address, two hops to live, right checksums`, async () => {
          const run = { path: path(family, protocol, way), direction: 'egress' } as const;
          const outcome = await runOne(run, eth, ip(family, director, server), ...out);
          const inner = ip(family, director, vip, { hops: HOPS_LEFT });
          expect(outcome).toEqual({
            verdict: NEXT,
            frame: toHex(packet(eth, ...outer(family, way), inner, ...out)),
            sent: 1,
            answered: 0,
          });
        });
      }

      test("back: the answer is the server's own, right checksums", async () => {
        const run = { path: path(family, protocol, 'ipip'), direction: 'ingress' } as const;
        expect(await runOne(run, eth, ip(family, vip, director), ...back)).toEqual({
          verdict: NEXT,
          frame: toHex(packet(eth, ip(family, server, director), ...back)),
          sent: 0,
          answered: 1,
        });
      });

      const strangers: Record<string, ['egress' | 'ingress', Layer[]]> = {
        'to another server': ['egress', [ip(family, director, other), ...out]],
        'from another port': [
          'egress',
          [ip(family, director, server), ...transport(protocol, LOCAL_PORT + 2, PORT)],
        ],
        'to another port': [
          'egress',
          [ip(family, director, server), ...transport(protocol, LOCAL_PORT, PORT + 1)],
        ],
        'of the other protocol': [
          'egress',
          [
            ip(family, director, server),
            ...transport(protocol === 'tcp' ? 'udp' : 'tcp', LOCAL_PORT, PORT),
          ],
        ],
        "from the server's own address": ['ingress', [ip(family, server, director), ...back]],
      };
      for (const [what, [direction, layers]] of Object.entries(strangers)) {
        test(`${what}: goes on as it is`, async () => {
          const run = { path: path(family, protocol, 'direct-route'), direction };
          expect(await runOne(run, eth, ...layers)).toEqual({
            verdict: NEXT,
            frame: toHex(packet(eth, ...layers)),
            sent: 0,
            answered: 0,
          });
        });
      }
    });
  }
}

/** TCP's longest segment, as the first option of a SYN. */
function segmentMax(bytes: number): Uint8Array {
  return Uint8Array.of(2, 4, bytes >> 8, bytes & 0xff);
}

const LONGEST: [Way, Family, offered: number, left: number][] = [
  ['direct-route', 'ipv4', 1460, 1460],
  ['ipip', 'ipv4', 1460, 1440],
  ['gre', 'ipv4', 1460, 1436],
  ['gue', 'ipv4', 1460, 1428],
  ['ipip', 'ipv6', 1440, 1400],
  ['gre', 'ipv6', 1440, 1396],
  ['ipip', 'ipv4', 8960, 1440],
  ['ipip', 'ipv4', 536, 536],
];

test.each(LONGEST)('%s over %s, longest segment %i: %i is left', async (way, family, ...sizes) => {
  const { director, server, vip } = FAMILIES[family];
  const [offered, left] = sizes;
  const synAck = (bytes: number) =>
    tcp({
      sourcePort: PORT,
      destinationPort: LOCAL_PORT,
      flags: 'SA',
      options: segmentMax(bytes),
    });
  const run = { path: path(family, 'tcp', way), direction: 'ingress' } as const;
  const outcome = await runOne(run, eth, ip(family, vip, director), synAck(offered));
  expect(outcome.frame).toBe(toHex(packet(eth, ip(family, server, director), synAck(left))));
});

test('a first fragment goes on as it is', async () => {
  const { director, server } = FAMILIES.ipv4;
  const layers = [
    ip('ipv4', director, server, { fragment: true }),
    ...transport('udp', 40_001, 80),
  ];
  const run = { path: path('ipv4', 'udp', 'direct-route'), direction: 'egress' } as const;
  const outcome = await runOne(run, eth, ...layers);
  expect(outcome).toMatchObject({ frame: toHex(packet(eth, ...layers)), sent: 0 });
});

test('a UDP packet without a checksum stays without', async () => {
  const { director, server, vip } = FAMILIES.ipv4;
  const ports = { sourcePort: LOCAL_PORT, destinationPort: PORT, checksum: 0 };
  const run = { path: path('ipv4', 'udp', 'direct-route'), direction: 'egress' } as const;
  const outcome = await runOne(run, eth, ip('ipv4', director, server), udp(ports), payload(5));
  const inner = ip('ipv4', director, vip, { hops: HOPS_LEFT });
  expect(outcome.frame).toBe(toHex(packet(eth, inner, udp(ports), payload(5))));
});

test('closed: nothing is rewritten any more, and there is room again', async () => {
  const result = await net.run(({ xdp, thrown }) => {
    const paths = xdp.ProbePaths.load({ capacity: 2 });
    const open = (localPort: number) =>
      paths.open({
        ...{ protocol: 'tcp', server: '10.0.0.11', port: 80, localPort },
        virtualAddress: '192.0.2.80',
      });
    const [first] = [open(1), open(2)];
    const full = thrown(() => open(3));
    first!.close();
    const again = thrown(() => open(3));
    const { sent } = first!;
    paths.close();
    paths.close();
    return { full, again, sent };
  });
  expect(result).toMatchObject({ full: { code: 'E2BIG' }, again: null, sent: 0 });
});

test('what makes no sense is refused before anything happens', async () => {
  const messages = await net.run(({ xdp, thrown }) => {
    const paths = xdp.ProbePaths.load({ capacity: 2 });
    const good = {
      ...{ protocol: 'tcp' as const, localPort: 1, port: 1 },
      ...{ server: '10.0.0.11', virtualAddress: '192.0.2.80' },
    };
    const refused = (bad: object) => thrown(() => paths.open({ ...good, ...bad }))?.message;
    return [
      refused({ protocol: 'sctp' }),
      refused({ localPort: 0 }),
      refused({ virtualAddress: '2001:db8::80' }),
      refused({ tunnel: 'gue' }),
      refused({ tunnel: 'vxlan' }),
      thrown(() => paths.attach('nowhere0'))?.code,
    ];
  });
  expect(messages).toEqual([
    "path.protocol must be one of 'tcp', 'udp', not 'sctp'.",
    'path.localPort must be a whole number from 1 to 65535, not 0.',
    'path.server and path.virtualAddress must be of the same IP version.',
    'path.guePort must be a whole number from 1 to 65535, not 0.',
    "path.tunnel must be one of 'ipip', 'gre', 'gue', not 'vxlan'.",
    'ENODEV',
  ]);
});

/** A director and a server, joined by a wire; both have the virtual address. */
function wired(): { director: Namespace; server: Namespace } {
  const director = new Namespace([{ left: 'director0', right: 'moved0' }]);
  const server = new Namespace();
  director.execute('ip', 'link', 'set', 'moved0', 'netns', server.name);
  director.execute('ip', 'address', 'add', '10.0.0.1/24', 'dev', 'director0');
  director.execute('ip', 'address', 'add', '192.0.2.80/32', 'dev', 'director0');
  server.execute('ip', 'link', 'set', 'moved0', 'up');
  server.execute('ip', 'address', 'add', '10.0.0.11/24', 'dev', 'moved0');
  server.execute('ip', 'address', 'add', '192.0.2.80/32', 'dev', 'lo');
  return { director, server };
}

/** Whom the server says it talks to, or the code of an error. */
function ask(from: Namespace): Promise<string> {
  return from.run(
    (_, localPort) =>
      new Promise<string>((resolve) => {
        // The function travels as text, and its `import` would be the test runner's.
        const { connect } = process.getBuiltinModule('node:net');
        const socket = connect({ host: '10.0.0.11', port: 80, localPort });
        socket.setTimeout(10_000, () => socket.destroy(new Error('timeout')));
        socket.once('data', (data) => resolve(data.toString()));
        socket.once('error', (error: NodeJS.ErrnoException) => resolve(String(error.code)));
      }),
    LOCAL_PORT,
  );
}

test('attached: a socket gets its answer; the process dies: nothing is left', async (context) => {
  const { director, server } = wired();
  const listener = server.start(() => {
    const { createServer } = process.getBuiltinModule('node:net');
    const listening = createServer((socket) => socket.end(String(socket.remoteAddress)));
    listening.listen(80, '192.0.2.80', () => process.stdout.write('ready'));
    // The process ends with the function's promise.
    return new Promise(() => undefined);
  });
  onTestFinished(() => void listener.kill());
  await once(listener.stdout, 'data');
  expect(await ask(director)).toBe('ECONNREFUSED');

  const holder = director.start(({ xdp, thrown }, localPort) => {
    const paths = xdp.ProbePaths.load();
    const refusal = thrown(() => paths.attach('director0'));
    if (refusal === null) {
      paths.attach('director0');
      const ends = { server: '10.0.0.11', virtualAddress: '192.0.2.80' };
      paths.open({ protocol: 'tcp', localPort, port: 80, ...ends });
    }
    process.stdout.write(refusal === null ? 'ready' : `${refusal.code} ${refusal.message}`);
    // Links alone keep no process alive.
    return new Promise(() => setInterval(() => undefined, 1000));
  }, LOCAL_PORT);
  onTestFinished(() => void holder.kill());
  const said = String((await once(holder.stdout, 'data'))[0]);
  if (said.startsWith('EINVAL')) context.skip(said);
  expect(said).toBe('ready');
  expect(await ask(director)).toBe('10.0.0.1');

  holder.kill('SIGKILL');
  await once(holder, 'exit');
  expect(await ask(director)).toBe('ECONNREFUSED');
});
