// Why a director cannot start: one sentence for the operator.

/** A director cannot start; the message is one sentence that says why and what would help. */
export class StartError extends Error {
  readonly code = 'DIRECTOR_START';

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StartError';
  }
}

/** The sentence of any error, on one line. */
export function sentenceOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/\s*\n\s*/g, ' ').trim();
}
