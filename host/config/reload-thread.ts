/** The thread that parses large configurations, so that the main thread need not stop for them. */

import { parentPort } from 'node:worker_threads';
import { ReloadReader } from './reload-reader.ts';
import { ConfigSender } from './reload-transfer.ts';

const reader = new ReloadReader();
const sender = new ConfigSender();

parentPort!.on('message', (file: string) => void load(file));

async function load(file: string): Promise<void> {
  const result = await reader.load(file);
  for (const message of sender.messages(result)) parentPort!.postMessage(message);
}
