// The steering program's own judgement, for tests that compare it with something else.

import type { SteeringOutcome, SteeringTables } from 'af-xdp-socket';

import type { Namespace } from './namespace.ts';

/** Tables, and frames in hexadecimal digits to be judged by them. */
export interface JudgedRound {
  readonly tables: SteeringTables;
  readonly frames: readonly string[];
}

/** @returns the program's outcome for each frame of each round */
export function judgeRounds(
  net: Namespace,
  rounds: readonly JudgedRound[],
): Promise<SteeringOutcome[][]> {
  return net.run(({ xdp, Bench }, work) => {
    const steering = xdp.Steering.load();
    steering.attach('lo', 'generic');
    steering.setSocket('lo', 0, new Bench().open('lo').socket.fd);
    const outcomes = work.map(({ tables, frames }) => {
      steering.publish(tables);
      return frames.map(
        (hex) => steering.testRun(Uint8Array.from(Buffer.from(hex, 'hex'))).outcome,
      );
    });
    steering.close();
    return outcomes;
  }, rounds);
}
