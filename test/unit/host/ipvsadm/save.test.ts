import { describe, expect, test } from 'vitest';
import { Random, seedFromEnvironment } from '../../../support/random.ts';
import { FakeControl } from './fake-control.ts';
import { run, setUp } from './support.ts';

describe('-S --lossless', () => {
  test('has what -S leaves out', () => {
    const control = new FakeControl();
    setUp(
      control,
      '--set 100 0 50',
      '-A -f 4294967295 -s sh -b sh-port,flag-3',
      '-a -f 4294967295 -r 10.0.0.1:80 -m -x 9 -y 3',
      '-a -f 4294967295 -r 10.0.0.2:80 -i --tun-type gre --tun-csum -x 7',
      '-A -t 192.0.2.80:80 -M 255.255.0.0',
    );
    expect(run(control, '-Sn --lossless').stdout).toBe(`--set 100 120 50
-A -f 4294967295 -s sh -b sh-port,flag-3
-a -f 4294967295 -r 10.0.0.1:80 -m -w 1 -x 9 -y 3
-a -f 4294967295 -r 10.0.0.2:80 -i -w 1 --tun-type gre --tun-csum -x 7
-A -t 192.0.2.80:80 -s wlc -M 255.255.0.0
`);
    expect(run(control, '-Sn').stdout).toBe(`-A -f -1 -s sh -b sh-port
-a -f -1 -r 10.0.0.1:80 -m -w 1
-a -f -1 -r 10.0.0.2:80 -i -w 1 --tun-type gre --tun-csum
-A -t 192.0.2.80:80 -s wlc
`);
  });

  const seed = seedFromEnvironment(11);

  test(`restores to the same services, seed ${seed}`, () => {
    const random = new Random(seed);
    for (let round = 0; round < 60; round++) {
      const control = randomControl(random);
      const saved = run(control, '-Sn --lossless').stdout;
      for (const options of ['-R', '-R --atomic']) {
        const other = new FakeControl();
        expect(run(other, options, saved)).toMatchObject({ code: 0, stderr: '' });
        const lines = [
          '-Sn --lossless',
          '-Ln',
          '-Ln --thresholds',
          '-Ln --tun-info',
          '-L --timeout',
        ];
        for (const line of lines) {
          expect(inOneOrder(run(other, line).stdout)).toEqual(
            inOneOrder(run(control, line).stdout),
          );
        }
      }
    }
  });
});

/** Marks and addresses far apart have an order with circles: it depends on the one before. */
function inOneOrder(listing: string): readonly string[] {
  return listing.replaceAll('\n  ->', ' ->').split('\n').sort();
}

/** Services and servers of every kind; what cannot be together is not. */
function randomControl(random: Random): FakeControl {
  const control = new FakeControl();
  setUp(control, `--set ${random.below(1000)} ${random.below(1000)} ${random.below(1000)}`);
  for (let i = 0; i < 8; i++) {
    const isIpv6 = random.below(3) === 0;
    const service = randomService(random, isIpv6);
    if (run(control, `-A ${service} ${randomServiceOptions(random, isIpv6)}`).code !== 0) continue;
    for (let j = random.below(5); j > 0; j--) {
      const address = isIpv6 ? `[2001:db8:2::${j}]` : `10.${random.below(256)}.0.${j}`;
      const server = `-r ${address}:${random.below(65_536)}`;
      run(control, `-a ${service} ${server} ${randomServerOptions(random)}`);
    }
  }
  return control;
}

function randomService(random: Random, isIpv6: boolean): string {
  if (random.below(3) === 0) return `-f ${random.below(2 ** 32 - 1) + 1}${isIpv6 ? ' -6' : ''}`;
  const option = ['-t', '-u', '--sctp-service'][random.below(3)];
  const host = isIpv6 ? `[2001:db8:1::${random.below(9)}]` : `192.0.2.${random.below(256)}`;
  return `${option} ${host}:${1 + random.below(65_535)}`;
}

function randomServiceOptions(random: Random, isIpv6: boolean): string {
  const mask = isIpv6 ? 1 + random.below(128) : `255.255.${random.below(256)}.0`;
  const schedulers = ['wlc', 'rr', 'sh -b sh-port', 'mh -b flag-3,mh-fallback', 'sed -b flag-2'];
  return [
    `-s ${schedulers[random.below(schedulers.length)]}`,
    random.below(2) === 0 ? '' : `-p ${1 + random.below(1000)}`,
    random.below(2) === 0 ? '' : `-M ${mask}`,
    random.below(4) === 0 ? '--pe sip' : '',
  ].join(' ');
}

function randomServerOptions(random: Random): string {
  const upper = random.below(2) === 0 ? 0 : random.below(2 ** 31);
  const forwarding = [
    '-m',
    '-g',
    '-b',
    '-i',
    '-i --tun-type gue --tun-port 6080 --tun-remcsum',
    '-i --tun-type gre --tun-nocsum',
  ];
  return [
    forwarding[random.below(forwarding.length)],
    `-w ${random.below(2 ** 31)}`,
    `-x ${upper} -y ${upper === 0 ? 0 : random.below(upper)}`,
  ].join(' ');
}
