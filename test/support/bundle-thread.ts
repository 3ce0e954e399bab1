// Worker threads from TypeScript: Node runs only JavaScript, and vitest transforms only what it loads
// itself, so a thread's script is bundled first.

import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { rolldown } from 'rolldown';

/**
 * Bundles a TypeScript file and all it imports.
 * @returns CommonJS source, for runThread()
 */
export async function bundleThread(script: URL): Promise<string> {
  const bundle = await rolldown({ input: fileURLToPath(script), platform: 'node' });
  const { output } = await bundle.generate({ format: 'cjs' });
  await bundle.close();
  return output[0].code;
}

/**
 * Runs a bundled script in a thread.
 * @param workerData what the script finds as `workerData`
 * @returns the first message the script posts; rejects when it throws or ends without one
 */
export function runThread<T>(source: string, workerData: unknown): Promise<T> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(source, { eval: true, workerData });
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new Error(`the thread ended with ${code}`)));
  });
}
