// `wvs explain`: what becomes of a packet, step by step, against the running state and without
// changing it. The steps are those of assembly/pipeline.ts and assembly/schedule.ts in their order;
// each leaves a line, and the first that decides ends the story.
//
//   steering -> local address -> mark -> connection -> service -> [template] -> scheduler
//   -> forwarding -> next hop -> MTU

import type { SteeringTables } from 'af-xdp-socket';
import { formatEndpoint } from '../config/address.ts';
import type { ExplainOutcome, ExplainRequest, ExplainResult, ExplainStep } from '../control/api.ts';
import type { Control } from '../ipvs/control.ts';
import type { ServiceKey } from '../ipvs/types.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import { counterName } from '../stats/counter-names.ts';
import { ConnectionLookup } from './connection-lookup.ts';
import { Ways } from './next-hop.ts';
import { decide } from './pipeline.ts';
import { Published } from './published.ts';
import { endText, parseQuestion, type Question } from './question.ts';
import { SchedulerPeek } from './scheduler-peek.ts';
import { steeringOutcome } from './steering-twin.ts';

/** What is asked. */
export interface ExplainerOptions {
  readonly memory: DataPlaneMemory;
  readonly control: Control;
  /** The data plane's tick now. */
  readonly now: () => number;
  /** What the steering program was given last; undefined where there is none. */
  readonly steering: () => SteeringTables | undefined;
}

/** What becomes of a packet, by the data plane's own numbers. */
export interface Decision {
  readonly outcome: ExplainOutcome;
  /** A sentence. */
  readonly verdict: string;
  /** Ids, 0 when none had to do with it. */
  readonly service: number;
  readonly destination: number;
  /** Counter index of a drop's reason, otherwise 0. */
  readonly reason: number;
}

/** Everything the steps look at, and the lines they leave. */
export interface Inquiry {
  readonly question: Question;
  readonly memory: DataPlaneMemory;
  readonly control: Control;
  readonly published: Published;
  readonly lookup: ConnectionLookup;
  readonly ways: Ways;
  readonly peek: SchedulerPeek;
  /** The data plane's tick. */
  readonly now: number;
  note(step: string, result: string, facts?: ExplainStep['facts']): void;
}

/** Explains packets to a running director's operator. */
export class Explainer {
  readonly #options: ExplainerOptions;
  readonly #peek: SchedulerPeek;

  constructor(options: ExplainerOptions) {
    this.#options = options;
    this.#peek = new SchedulerPeek(options.memory);
  }

  /**
   * The decision about a packet.
   * @throws ControlError invalid-request
   */
  explain(request: ExplainRequest): ExplainResult {
    const question = parseQuestion(request);
    const { steps, decision } = this.decide(question);
    const { service, destination, reason } = decision;
    const { control } = this.#options;
    const serviceEntry = service === 0 ? undefined : control.serviceById(service);
    const server = destination === 0 ? undefined : control.destinationById(destination);
    return {
      protocol: question.protocol,
      client: endText(question.source),
      virtual: endText(question.destination),
      steps,
      outcome: decision.outcome,
      verdict: decision.verdict,
      ...(serviceEntry && { service: serviceText(serviceEntry.key) }),
      ...(server && { server: formatEndpoint(server.key.address, server.key.port) }),
      ...(reason !== 0 && { reason: counterName(reason) }),
    };
  }

  /** The same by ids. */
  decide(question: Question): { steps: readonly ExplainStep[]; decision: Decision } {
    const { memory, control, now } = this.#options;
    const published = new Published(memory);
    const steps: ExplainStep[] = [];
    const inquiry: Inquiry = {
      question,
      memory,
      control,
      published,
      lookup: new ConnectionLookup(memory),
      ways: new Ways(published, control.tables.nextHops, control.tables.world),
      peek: this.#peek,
      now: now(),
      note: (step, result, facts = {}) => steps.push({ step, result, facts }),
    };
    const kept = this.#steer(inquiry);
    const decision = decide(inquiry);
    return { steps, decision: kept ?? decision };
  }

  /** What the kernel keeps never gets here; the other steps then say what would be otherwise. */
  #steer({ question, note }: Inquiry): Decision | undefined {
    const tables = this.#options.steering();
    if (tables === undefined) return undefined;
    const outcome = steeringOutcome(tables, question);
    const isTaken = outcome.startsWith('steered');
    note('steering', isTaken ? 'taken from the kernel' : 'left to the kernel', { outcome });
    if (isTaken) return undefined;
    const why =
      outcome === 'passed-local-address'
        ? "no service listens there, and the address is the director's own"
        : 'it is for no service and from no real server';
    return {
      outcome: 'kernel',
      verdict: `the kernel keeps it: ${why}`,
      service: 0,
      destination: 0,
      reason: 0,
    };
  }
}

/** A service's key as the configuration and the status spell it. */
export function serviceText(key: ServiceKey): string {
  if ('mark' in key) return key.family === 6 ? `mark ${key.mark} ipv6` : `mark ${key.mark}`;
  return `${key.protocol} ${formatEndpoint(key.address, key.port)}`;
}

/** Whether every entry of the connection table is in use. */
export function isTableFull({ memory }: Inquiry): boolean {
  const used = memory.connectionCount();
  return used >= memory.map.sizes.connections;
}
