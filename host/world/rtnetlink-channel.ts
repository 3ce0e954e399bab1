// Requests to rtnetlink: dumps, one after the other, and commands nobody waits for. The kernel's own
// announcements come over another socket (kernel-world.ts), so that a burst of them, which the
// kernel cuts off, takes no answer with it.

import { type NetlinkSocket, openNetlink, type SystemError } from 'af-xdp-socket';
import {
  encodeMessage,
  type NetlinkMessage,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  parseMessages,
  viewOf,
} from './netlink-message.ts';
import { encodeDumpRequest } from './rtnetlink.ts';

const ANSWER_TIMEOUT_MS = 5000;
/** Times a dump is repeated because something changed while it was read. */
const REPEATS_MAX = 5;

/** rtnetlink refused a request, or did not answer. */
export class RtnetlinkError extends Error {
  readonly code = 'RTNETLINK';

  constructor(message: string) {
    super(message);
    this.name = 'RtnetlinkError';
  }
}

/** What came of a dump. */
interface Answer {
  readonly messages: NetlinkMessage[];
  readonly isInterrupted: boolean;
}

interface PendingDump {
  readonly sequence: number;
  readonly messages: NetlinkMessage[];
  isInterrupted: boolean;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
}

/** A socket to ask rtnetlink. */
export class RtnetlinkChannel {
  readonly #socket: NetlinkSocket;
  #sequence = 0;
  #pending: PendingDump | undefined;
  /** Settles when the dump before is done: the kernel works on one dump of a socket at a time. */
  #last: Promise<unknown> = Promise.resolve();

  constructor() {
    this.#socket = openNetlink({
      onMessage: (datagram) => this.#onDatagram(datagram),
      onError: (error) => this.#onError(error),
    });
  }

  /**
   * All messages of a dump, such as RTM_GETROUTE.
   * @throws RtnetlinkError
   */
  dump(type: number): Promise<readonly NetlinkMessage[]> {
    const result = this.#last.then(() => this.#dumpConsistently(type));
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Sends a request without waiting for what the kernel says to it. */
  send(type: number, flags: number, payload: Uint8Array): void {
    const header = { type, flags: NLM_F_REQUEST | flags, sequence: this.#nextSequence() };
    this.#socket.send(encodeMessage(header, payload));
  }

  close(): void {
    this.#socket.close();
    this.#pending?.reject(new RtnetlinkError('the rtnetlink socket was closed'));
    this.#pending = undefined;
  }

  async #dumpConsistently(type: number): Promise<readonly NetlinkMessage[]> {
    for (let repeat = 0; ; repeat++) {
      const { messages, isInterrupted } = await this.#dumpOnce(type);
      // What is still torn after so many tries changes all the time, and is announced as it does.
      if (!isInterrupted || repeat === REPEATS_MAX) return messages;
    }
  }

  #dumpOnce(type: number): Promise<Answer> {
    const sequence = this.#nextSequence();
    const { promise, resolve, reject } = withResolvers<Answer>();
    const timer = setTimeout(() => {
      this.#pending = undefined;
      reject(new RtnetlinkError(`rtnetlink did not answer within ${ANSWER_TIMEOUT_MS} ms`));
    }, ANSWER_TIMEOUT_MS);
    const settled = promise.finally(() => clearTimeout(timer));
    this.#pending = { sequence, messages: [], isInterrupted: false, resolve, reject };
    try {
      const flags = NLM_F_REQUEST | NLM_F_DUMP;
      this.#socket.send(encodeMessage({ type, flags, sequence }, encodeDumpRequest(type)));
    } catch (error) {
      this.#pending = undefined;
      reject(error as Error);
    }
    return settled;
  }

  #nextSequence(): number {
    this.#sequence = (this.#sequence % 0x7fffffff) + 1;
    return this.#sequence;
  }

  #onDatagram(datagram: Uint8Array): void {
    try {
      for (const message of parseMessages(datagram)) this.#onMessage(message);
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #onMessage(message: NetlinkMessage): void {
    const pending = this.#pending;
    // A command that failed answers too; whoever sent it repeats it by itself.
    if (pending === undefined || message.sequence !== pending.sequence) return;
    if ((message.flags & NLM_F_DUMP_INTR) !== 0) pending.isInterrupted = true;
    if (message.type === NLMSG_ERROR) {
      const errno = message.payload.length < 4 ? 0 : -viewOf(message.payload).getInt32(0, true);
      this.#fail(new RtnetlinkError(`rtnetlink refused a dump with errno ${errno}`));
    } else if (message.type === NLMSG_DONE) {
      this.#pending = undefined;
      pending.resolve(pending);
    } else {
      // The datagram's buffer is ours to keep.
      pending.messages.push(message);
    }
  }

  #onError(error: SystemError): void {
    this.#fail(new RtnetlinkError(`rtnetlink: ${error.message}`));
  }

  #fail(error: Error): void {
    this.#pending?.reject(error);
    this.#pending = undefined;
  }
}

function withResolvers<Value>() {
  let resolve!: (value: Value) => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<Value>((resolveIt, rejectIt) => {
    resolve = resolveIt;
    reject = rejectIt;
  });
  return { promise, resolve, reject };
}
