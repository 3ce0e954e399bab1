// Who rewrites the packets of probes with `via: vip`: two small programs, loaded at the start while
// the process may, and attached to all ports when the first such check needs them.

import { type ProbePath, type ProbePathOptions, ProbePaths } from 'af-xdp-socket';
import type { PathTable } from '../health/vip-ways.ts';
import type { Port } from './ports.ts';
import { sentenceOf } from './start-error.ts';

/** The programs on all ports; what keeps them from there is no reason not to start. */
export class PortProbePaths implements PathTable {
  readonly #ports: readonly Port[];
  #paths: ProbePaths | undefined;
  #isAttached = false;
  #refusal: string | undefined;

  constructor(ports: readonly Port[]) {
    this.#ports = ports;
    this.#guard(() => {
      this.#paths = ProbePaths.load();
    });
  }

  whyNot(): string | undefined {
    if (!this.#isAttached && this.#refusal === undefined) this.#attach();
    return this.#refusal;
  }

  open(path: ProbePathOptions): ProbePath {
    const refusal = this.whyNot();
    if (refusal !== undefined || this.#paths === undefined) throw new Error(refusal ?? 'closed');
    return this.#paths.open(path);
  }

  close(): void {
    this.#paths?.close();
    this.#paths = undefined;
  }

  #attach(): void {
    this.#guard(() => {
      for (const { info } of this.#ports) this.#paths?.attach(info.index);
      this.#isAttached = true;
    });
  }

  /** The first refusal stays: nothing of it changes while the process runs. */
  #guard(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#refusal = sentenceOf(error);
    }
  }
}
