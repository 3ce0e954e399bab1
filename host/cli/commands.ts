/**
 * Every command of `wvs`, defined once: the parser, `--help`, the manual page and shell
 * completion are made from this table.
 */

import type { CommandDefinition, OptionDefinition } from './command.ts';

const config: OptionDefinition = {
  flags: '--config <file>',
  description: 'the configuration file',
  isRequired: true,
};

const json: OptionDefinition = { flags: '--json', description: 'print JSON' };

/** Added to each command that needs the director. */
export const SOCKET_OPTION: OptionDefinition = {
  flags: '--socket <path>',
  description: 'the control socket (default: $WVS_SOCKET, or else /run/wvs/wvs.sock)',
};

/** The commands, in the order in which `--help` lists them. */
export const COMMANDS: readonly CommandDefinition[] = [
  {
    name: 'run',
    summary: 'start the director in the foreground',
    options: [config],
    load: async () => (await import('./command-run.ts')).runCommand,
  },
  {
    name: 'check',
    summary: 'say everything that is wrong with a configuration file',
    options: [config],
    load: async () => (await import('./command-check.ts')).checkCommand,
  },
  {
    name: 'plan',
    summary: 'say what a reload would change, without doing it',
    options: [config, json],
    needsDirector: true,
    load: async () => (await import('./command-reload.ts')).planCommand,
  },
  {
    name: 'reload',
    summary: 'make the running director take a configuration over, all of it or nothing',
    options: [
      { flags: '--config <file>', description: 'another file than the one it runs with' },
      json,
    ],
    needsDirector: true,
    load: async () => (await import('./command-reload.ts')).reloadCommand,
  },
  {
    name: 'ipvsadm',
    summary: "ipvsadm's options, output and exit codes, for the running director",
    needsDirector: true,
    passesThrough: true,
    load: async () => (await import('./command-ipvsadm.ts')).ipvsadmCommand,
  },
  {
    name: 'replay',
    summary: 'play a recording, or captures under a configuration, against the data plane',
    arguments: [{ syntax: '[trace]', description: 'a recording (JSON lines)' }],
    options: [
      { flags: '--config <file>', description: 'the configuration to play captures under' },
      {
        flags: '--in <port=file>',
        description: 'a capture (pcap, pcapng) of what comes in by a port',
        isRepeatable: true,
      },
      {
        flags: '--out <path>',
        description: 'where to write: a file for a recording, else a folder',
      },
    ],
    load: async () => (await import('../replay/main.ts')).replayMain,
  },
  {
    name: 'import',
    summary: 'turn a keepalived.conf or the rules of ipvsadm -S into a configuration',
    arguments: [
      {
        syntax: '<files...>',
        description: 'keepalived.conf, rules of ipvsadm and iptables; - for standard input',
      },
    ],
    options: [
      {
        flags: '--config-id <id>',
        description: "decides keepalived's @ID lines (default: the host's name)",
      },
      {
        flags: '--interface <name>',
        description: 'an interface of the director (default: a guess); may be repeated',
        isRepeatable: true,
      },
    ],
    load: async () => (await import('./command-import.ts')).importCommand,
  },
  {
    name: 'status',
    summary: 'show the running director: workers, ports, services, servers',
    options: [json],
    needsDirector: true,
    load: async () => (await import('./command-status.ts')).statusCommand,
  },
  {
    name: 'top',
    summary: 'watch the running director: rates, connections, drops',
    options: [
      { flags: '--once', description: 'print one frame and end' },
      { flags: '--interval <seconds>', description: 'time between two looks (default: 2)' },
      {
        flags: '--sort <column>',
        description: 'name, connections, active, packets or bits (default: connections)',
      },
    ],
    needsDirector: true,
    load: async () => (await import('./command-top.ts')).topCommand,
  },
  {
    name: 'explain',
    summary: 'say what becomes of a packet, step by step, changing nothing',
    arguments: [
      { syntax: '<protocol>', description: 'tcp, udp or sctp' },
      { syntax: '<client>', description: 'ADDRESS:PORT the packet comes from' },
      { syntax: '<virtual>', description: 'ADDRESS:PORT the packet is sent to' },
    ],
    options: [
      {
        flags: '--first',
        description: 'the first packet of a new connection, also where there is one',
      },
      json,
    ],
    needsDirector: true,
    load: async () => (await import('./command-explain.ts')).explainCommand,
  },
  {
    name: 'proc',
    summary: "print what the kernel's IPVS would show in a file of /proc/net",
    arguments: [
      {
        syntax: '<file>',
        description: 'ip_vs, ip_vs_conn, ip_vs_conn_sync, ip_vs_stats or ip_vs_stats_percpu',
      },
    ],
    needsDirector: true,
    load: async () => (await import('./command-proc.ts')).procCommand,
  },
  {
    name: 'capture',
    summary: 'write packets before and after the rewrite, with the decision, for Wireshark',
    options: [
      { flags: '--service <name>', description: 'name or key of a service (default: all packets)' },
      {
        flags: '--direction <in|out|both>',
        description: 'from the client, to it, or both (default: both)',
      },
      { flags: '--snaplen <bytes>', description: 'bytes kept of each frame (default: all)' },
      { flags: '--count <number>', description: 'packets to take (default: until Ctrl-C)' },
      {
        flags: '-o, --output <file>',
        description: 'where to write (pcapng); - for standard output',
        isRequired: true,
      },
    ],
    needsDirector: true,
    load: async () => (await import('../capture/command-capture.ts')).captureCommand,
  },
  {
    name: 'doctor',
    summary: 'look at the machine, the ports and the network, and say what is wrong and what helps',
    options: [
      { flags: '--config <file>', description: 'the configuration to look at it for' },
      json,
    ],
    load: async () => (await import('../doctor/command-doctor.ts')).doctorCommand,
  },
  {
    name: 'realserver',
    summary: 'print the script that prepares a real server, or run it on this machine',
    options: [
      {
        flags: '--method <method>',
        description: 'how packets travel to it: nat, direct-route (dr), tunnel or full-nat',
        isRequired: true,
      },
      {
        flags: '--vip <address>',
        description: 'the virtual address',
        isRequired: true,
        isRepeatable: true,
      },
      {
        flags: '--director <address>',
        description: "nat: the director's address on the server's network",
        isRepeatable: true,
      },
      {
        flags: '--type <ipip|gue|gre>',
        description: 'tunnel: what packets are in (default: ipip)',
      },
      { flags: '--port <number>', description: 'gue: its UDP port (default: 6080)' },
      {
        flags: '--outer <ipv4|ipv6>',
        description: "tunnel: the family of the server's own address (default: that of the VIP)",
      },
      {
        flags: '--interface <name>',
        description: 'direct-route, tunnel: lo (the default), or a dummy that is made',
        isRepeatable: true,
      },
      { flags: '--apply', description: 'run it here' },
      { flags: '--undo', description: 'undo here what it did' },
    ],
    load: async () => (await import('../realserver/command-realserver.ts')).realServerCommand,
  },
];
