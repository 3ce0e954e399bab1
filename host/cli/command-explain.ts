/** `wvs explain`: what becomes of a packet, step by step, for people or as JSON. */

import type { ExplainResult } from '../control/api.ts';
import { askDirector } from '../control/client.ts';
import { type CommandInput, type CommandIo, EXIT_OK } from './command.ts';
import { socketPath } from './socket-option.ts';

/** Asks the director about a packet and prints the answer. */
export async function explainCommand(input: CommandInput, io: CommandIo): Promise<number> {
  const [protocol = '', client = '', virtual = ''] = input.arguments;
  const { json, first } = input.options;
  const request = { protocol: protocol.toLowerCase(), client, virtual, ...(first && { first }) };
  const result = await askDirector(socketPath(input, io), 'explain', request);
  io.stdout.write(json ? `${JSON.stringify(result, undefined, 2)}\n` : formatExplanation(result));
  return EXIT_OK;
}

/** The whole answer as text: a line for each step, then what it comes to. */
export function formatExplanation(result: ExplainResult): string {
  const { protocol, client, virtual, steps, verdict, reason } = result;
  const width = steps.reduce((most, { step }) => Math.max(most, step.length), 0);
  const counted = reason === undefined ? '' : ` (counted as ${reason})`;
  return [
    `${protocol} ${client} -> ${virtual}`,
    '',
    ...steps.map(({ step, result: line }) => `  ${step.padEnd(width)}  ${line}`),
    '',
    `=> ${verdict}${counted}`,
    '',
  ].join('\n');
}
