import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { Control } from '../../../../host/ipvs/control.ts';
import type { FullNatControl } from '../../../../host/ipvsadm/full-nat-control.ts';
import { ipvsadm } from '../../../../host/ipvsadm/ipvsadm.ts';
import { throughPipe } from '../../../../host/ipvsadm/output.ts';
import { OfflineResolver } from '../../../../host/ipvsadm/resolver.ts';
import { DataPlaneMemory } from '../../../../host/memory/data-plane-memory.ts';
import { schedulerByName } from '../../../../host/scheduler/registry.ts';
import { PublishedTables } from '../../../../host/tables/publish.ts';
import { FakeControl } from './fake-control.ts';
import { run, setUp } from './support.ts';

/** A command line and what ipvsadm 1.31 did with it on Linux 6.1, both streams in one pipe. */
interface RecordedCommand {
  readonly args: readonly string[];
  readonly stdin?: string;
  readonly code: number;
  readonly output: string;
}

/** Commands that ran one after another on one machine. */
interface Section {
  readonly title: string;
  readonly commands: RecordedCommand[];
}

function recordedSections(): readonly Section[] {
  const file = new URL('recorded-commands.jsonl', import.meta.url);
  const sections: Section[] = [];
  for (const line of readFileSync(file, 'utf8').trimEnd().split('\n')) {
    const record = JSON.parse(line) as RecordedCommand & { readonly section?: string };
    if (record.section === undefined) sections.at(-1)!.commands.push(record);
    else sections.push({ title: record.section, commands: [] });
  }
  return sections;
}

/** The order that the kernel lists services in depends on where its memory lies. */
function comparable(args: readonly string[], output: string): string {
  if (!args.includes('--nosort')) return output;
  return output.replaceAll('\n  ->', ' ->').split('\n').sort().join('\n');
}

function controlCore(): FullNatControl {
  const memory = DataPlaneMemory.create({
    connections: 64,
    services: 256,
    destinations: 512,
    workers: 1,
    framesPerWorker: 64,
    schedulerTableBytes: 1 << 20,
  });
  return new Control({ tables: new PublishedTables(memory), schedulerByName });
}

describe.each([
  { director: 'a director in memory', create: () => new FakeControl() },
  { director: 'the control core', create: controlCore },
])('recorded commands on $director', ({ create }) => {
  const resolver = new OfflineResolver();

  test.each(recordedSections())('$title: same exit codes and output', ({ commands }) => {
    const control = create();
    for (const { args, stdin = '', code, output } of commands) {
      const result = ipvsadm(args, control, { stdin, resolver });
      const seen = throughPipe(result.writes);
      expect
        .soft({ args, code: result.code, output: comparable(args, seen) })
        .toEqual({ args, code, output: comparable(args, output) });
    }
  });
});

describe('sync daemon', () => {
  test('--start-daemon of a good command line says that there is none and fails', () => {
    const { code, stderr } = run(new FakeControl(), '--start-daemon master --syncid 5');
    expect(code).toBe(255);
    expect(stderr).toBe('Connection sync is a later step: --start-daemon starts nothing\n');
  });
});

describe('full-nat', () => {
  test('-b and --fullnat add servers that are listed and saved as such', () => {
    const control = new FakeControl();
    setUp(
      control,
      '-A -t 192.0.2.80:80 -s rr',
      '-a -t 192.0.2.80:80 -r 10.0.0.1:8080 -b -w 3',
      '-a -t 192.0.2.80:80 -r 10.0.0.2:8081 --fullnat',
      '-a -t 192.0.2.80:80 -r 10.0.0.3:8082 -m',
      '-e -t 192.0.2.80:80 -r 10.0.0.3:8082 -b',
    );
    expect(run(control, '-Ln -t 192.0.2.80:80').stdout.split('\n').slice(3, 6)).toEqual([
      '  -> 10.0.0.1:8080                FullNat 3      0          0         ',
      '  -> 10.0.0.2:8081                FullNat 1      0          0         ',
      '  -> 10.0.0.3:8082                FullNat 1      0          0         ',
    ]);
    expect(run(control, '-Sn').stdout).toContain('-a -t 192.0.2.80:80 -r 10.0.0.1:8080 -b -w 3\n');
  });

  test.each([
    ['-a -t 192.0.2.80:80 -r 10.0.0.1 -b -m', "multiple 'forwarding-method' options specified"],
    ['-a -t 192.0.2.80:80 -r 10.0.0.1 -b sh-port', "incompatible scheduler flag `sh-port'"],
    [
      '-a -t 192.0.2.80:80 -r 10.0.0.1 -b flag-1',
      "Illegal 'sched-flags' option with the 'add-server' command",
    ],
    ['-A -t 192.0.2.80:80 -b', '-b: missing argument'],
    [
      '-A -t 192.0.2.80:80 --fullnat',
      "Illegal 'forwarding-method' option with the 'add-service' command",
    ],
  ])('%s is refused as before', (line, message) => {
    expect(run(new FakeControl(), line).stderr).toBe(`${message}\n`);
  });

  test('local addresses are added, saved, restored and deleted', () => {
    const control = new FakeControl();
    setUp(
      control,
      '-A -t 192.0.2.80:80 -s rr',
      '-P -t 192.0.2.80:80 -z 10.0.0.250 -F lan',
      '--add-laddr --laddr 10.0.0.251 -t 192.0.2.80:80',
    );
    const saved = run(control, '-Sn').stdout;
    expect(saved).toBe(
      '-A -t 192.0.2.80:80 -s rr\n' +
        '-P -t 192.0.2.80:80 -z 10.0.0.250 -F lan\n' +
        '-P -t 192.0.2.80:80 -z 10.0.0.251\n',
    );
    const other = new FakeControl();
    expect(run(other, '-R', saved).code).toBe(0);
    expect(run(other, '-Sn').stdout).toBe(saved);
    setUp(other, '-Q -t 192.0.2.80:80 -z 10.0.0.250');
    expect(run(other, '-Sn').stdout).not.toContain('10.0.0.250');
  });

  test.each([
    ['-P -t 192.0.2.80:80 -z 10.0.0.250', 255, 'Local address already exists'],
    ['-Q -t 192.0.2.80:80 -z 10.0.0.9', 255, 'No such local address'],
    ['-P -t 192.0.2.99:80 -z 10.0.0.9', 255, 'Service not defined'],
    ['-P -t 192.0.2.80:80 -z nosuch', 2, 'illegal local address specified'],
    ['-P -t 192.0.2.80:80', 2, "You need to supply the 'laddr' option for the 'add-laddr' command"],
    ['-L -z 10.0.0.9', 2, "Illegal 'laddr' option with the 'list' command"],
  ])('%s: %i, %s', (line, code, message) => {
    const control = new FakeControl();
    setUp(control, '-A -t 192.0.2.80:80', '-P -t 192.0.2.80:80 -z 10.0.0.250');
    expect(run(control, line)).toMatchObject({ code, stderr: `${message}\n` });
  });
});

describe('a director without local addresses', () => {
  test('says so, and takes nothing else of an atomic restore', () => {
    const control = new FakeControl();
    setUp(control, '-A -t 192.0.2.80:80');
    Object.assign(control, { addLocalAddress: undefined, deleteLocalAddress: undefined });
    const stderr = 'This director has no local addresses of services\n';
    const line = '-P -t 192.0.2.80:80 -z 10.0.0.250';
    expect(run(control, line)).toMatchObject({ code: 255, stderr });
    const atomic = run(control, '-R --atomic', `-A -t 192.0.2.80:81\n${line}\n`);
    expect(atomic.stderr).toMatch(`line 2: ${stderr}Nothing was restored`);
    expect(control.services()).toHaveLength(1);
  });
});

describe('--help-extensions', () => {
  test('prints what ipvsadm 1.31 does not have', () => {
    const { code, stdout } = run(new FakeControl(), '--help-extensions');
    expect(code).toBe(0);
    for (const option of ['--fullnat', '--add-laddr', '--lossless', '--atomic']) {
      expect(stdout).toContain(option);
    }
  });
});

describe('errors of the director', () => {
  test('that are no IPVS errors go through', () => {
    const control = new FakeControl();
    control.flush = () => {
      throw new RangeError('not for users');
    };
    expect(() => run(control, '-C')).toThrow(RangeError);
  });
});
