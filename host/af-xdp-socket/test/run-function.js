// Runs a function another process wrote down, in this process: in whatever network namespace and
// with whatever privileges it was started. Standard input: { code, argument } as JSON. The last
// line of standard output: { result } or { error }.
//
// The function gets the package, the ring driver and a few helpers, and the argument.

import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { runInThisContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import * as xdp from '../index.js';
import * as driver from './ring-driver.js';

const STEP_MS = 5;
const WAIT_MS = 15_000;

/** Calls `condition` until it is truthy, at most WAIT_MS long. */
async function until(condition, what = 'the condition') {
  const end = Date.now() + WAIT_MS;
  for (;;) {
    const result = await condition();
    if (result) return result;
    if (Date.now() > end) throw new Error(`${what} did not come true within ${WAIT_MS} ms`);
    await sleep(STEP_MS);
  }
}

/** What a call throws, as plain data; null when it does not. */
function thrown(call) {
  try {
    call();
    return null;
  } catch (error) {
    const { name, code, errno, syscall, message } = error;
    return { name, code, errno, syscall, message };
  }
}

function ip(...options) {
  const { status, stdout, stderr } = spawnSync('ip', options, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`ip ${options.join(' ')}: ${stderr}`);
  return stdout;
}

/** A request for all of something, by rtnetlink: RTM_GET*. */
function dumpRequest(type) {
  const request = Buffer.alloc(32);
  request.writeUInt32LE(request.length, 0);
  request.writeUInt16LE(type, 4);
  request.writeUInt16LE(0x301, 6); // NLM_F_REQUEST | NLM_F_DUMP
  request.writeUInt32LE(1, 8);
  return request;
}

/** The types of a datagram's netlink messages, in order. */
function messageTypes(datagram) {
  const types = [];
  for (let at = 0; at < datagram.length; at += (datagram.readUInt32LE(at) + 3) & ~3) {
    types.push(datagram.readUInt16LE(at + 4));
  }
  return types;
}

/** What every open descriptor of this process is, but for the one that lists them. */
function descriptors() {
  const describe = (fd) => {
    try {
      return `${fd} ${readlinkSync(`/proc/self/fd/${fd}`)}`;
    } catch {
      return null;
    }
  };
  return readdirSync('/proc/self/fd')
    .map(describe)
    .filter((text) => text !== null);
}

/**
 * Runs a function in a worker thread: it gets the package, the ring driver, `post`, and `data`.
 * What it posts is collected in `messages`.
 */
function inThread(run, data) {
  const module = (name) => JSON.stringify(new URL(name, import.meta.url).href);
  const text = `
    import { parentPort, workerData } from 'node:worker_threads';
    import * as xdp from ${module('../index.js')};
    import * as driver from ${module('./ring-driver.js')};
    const post = (message) => parentPort.postMessage(message);
    await (${run})({ xdp, ...driver, post }, workerData);`;
  const url = new URL(`data:text/javascript,${encodeURIComponent(text)}`);
  const worker = new Worker(url, { workerData: data });
  const messages = [];
  worker.on('message', (message) => messages.push(message));
  return { worker, messages };
}

const { code, argument } = JSON.parse(readFileSync(0, 'utf8'));
const helpers = {
  xdp,
  ...driver,
  ...{ until, sleep, thrown, ip, dumpRequest, messageTypes, descriptors, inThread },
};
const outcome = {};
try {
  const run = runInThisContext(`(${code})`);
  outcome.result = (await run(helpers, argument)) ?? null;
} catch (error) {
  outcome.error = { message: error.message, stack: error.stack, code: error.code };
}
process.stdout.write(`\n${JSON.stringify(outcome)}\n`, () => process.exit());
