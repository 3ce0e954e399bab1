/**
 * The program the client runs in the demo and in the tests:
 *
 *     node client.js OPERATION JSON
 *
 * Prints one JSON object per line: `{"event":...}` on the way, `{"report":...}` at the end.
 */
import { provokeRefusal, runDatagramLoad, talkToGreeter } from './client-datagrams.ts';
import { runHttpLoad, runTransfers } from './client-http.ts';
import type { Operations } from './client-operations.ts';

type Implementations = {
  [Name in keyof Operations]: (
    request: Operations[Name]['request'],
    say: (event: string) => void,
  ) => Promise<Operations[Name]['report']>;
};

const IMPLEMENTATIONS: Implementations = {
  http: runHttpLoad,
  transfers: runTransfers,
  datagrams: runDatagramLoad,
  refusal: provokeRefusal,
  greeting: talkToGreeter,
};

async function main(): Promise<void> {
  const [name = '', request = '{}'] = process.argv.slice(2);
  const implementation = IMPLEMENTATIONS[name as keyof Operations] as
    | ((request: unknown, say: (event: string) => void) => Promise<unknown>)
    | undefined;
  if (implementation === undefined) throw new Error(`no operation ${name}`);
  const report = await implementation(JSON.parse(request), (event) => print({ event }));
  print({ report });
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

await main();
