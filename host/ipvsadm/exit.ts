/**
 * The end of a run of ipvsadm in the middle of it. ipvsadm leaves through exit() wherever it
 * finds something wrong, also while it restores a file: the lines after are then not read.
 */
export class Exit extends Error {
  readonly code: number;

  constructor(code: number) {
    super(`ipvsadm exits with ${code}`);
    this.name = 'Exit';
    this.code = code;
  }
}

/** The exit code of what ipvsadm refuses itself. */
export const EXIT_REFUSED = 2;
/** The exit code of what the kernel refuses, and of options that popt does not understand. */
export const EXIT_FAILED = 255;
/** The exit code of a listing of what does not exist. */
export const EXIT_NOTHING = 1;

/** The exit code of a run that may leave through Exit. */
export function exitCodeOf(run: () => number): number {
  try {
    return run();
  } catch (error) {
    if (error instanceof Exit) return error.code;
    throw error;
  }
}
