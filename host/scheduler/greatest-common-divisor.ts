/** Greatest common divisor of two whole numbers, the first of which is positive. */
export function greatestCommonDivisor(a: number, b: number): number {
  let divisor = a;
  let rest = b;
  while (rest !== 0) [divisor, rest] = [rest, divisor % rest];
  return divisor;
}

/** Greatest common divisor of the positive weights; 0 when there is none. */
export function commonDivisorOfWeights(weights: readonly number[]): number {
  let divisor = 0;
  for (const weight of weights) {
    if (weight > 0) divisor = greatestCommonDivisor(weight, divisor);
  }
  return divisor;
}
