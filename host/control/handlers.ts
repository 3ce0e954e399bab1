/** What the director does for the control socket; server.ts only carries it there. */

import type { ConfigProblem } from '../config/types.ts';
import type {
  CaptureRequest,
  CaptureResult,
  DirectorStatus,
  ExplainRequest,
  ExplainResult,
  IpvsadmRequest,
  IpvsadmResult,
  ProcRequest,
  ProcResult,
  ReloadRequest,
  ReloadResult,
} from './api.ts';

/**
 * The director's side of each route. One that is absent is answered with `not-available`.
 * A handler that fails on purpose throws a ControlError; anything else it throws is a mistake
 * of ours, and the client learns no more than that.
 */
export interface ControlHandlers {
  status(): DirectorStatus | Promise<DirectorStatus>;
  ipvsadm?(request: IpvsadmRequest): IpvsadmResult | Promise<IpvsadmResult>;
  /** Takes a configuration over, all of it or nothing. */
  reload?(request: ReloadRequest): ReloadResult | Promise<ReloadResult>;
  /** What reload() would do. */
  plan?(request: ReloadRequest): ReloadResult | Promise<ReloadResult>;
  explain?(request: ExplainRequest): ExplainResult | Promise<ExplainResult>;
  proc?(request: ProcRequest): ProcResult | Promise<ProcResult>;
  capture?(request: CaptureRequest): CaptureResult | Promise<CaptureResult>;
}

/** The codes with a meaning of their own on this socket, and the HTTP status of each. */
const STATUS_OF_CODE: Readonly<Record<string, number>> = {
  'invalid-request': 400,
  'not-found': 404,
  'config-invalid': 422,
  'not-available': 501,
};

/** A request that cannot be carried out, and why, for whoever asked. */
export class ControlError extends Error {
  readonly code: string;
  readonly problems: readonly ConfigProblem[];

  constructor(code: string, message: string, problems: readonly ConfigProblem[] = []) {
    super(message);
    this.name = 'ControlError';
    this.code = code;
    this.problems = problems;
  }

  /** The HTTP status that fits the code. */
  get statusCode(): number {
    return STATUS_OF_CODE[this.code] ?? 409;
  }
}
