/** What a command of `wvs` is, apart from what it does. */

/** Where a command reads and writes; tests put their own in place of the process's. */
export interface CommandIo {
  readonly stdin: NodeJS.ReadableStream;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly environment: NodeJS.ProcessEnv;
}

/** The little that commands need of an output. */
export interface OutputStream {
  write(text: string): unknown;
  /** Set when it is a terminal. */
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

/** What the user gave a command. Options are keyed by their long name in camel case. */
export interface CommandInput {
  readonly arguments: readonly string[];
  readonly options: CommandOptions;
}

/** Every option that some command has; a command reads those of its own definition. */
export interface CommandOptions {
  readonly apply?: boolean;
  readonly config?: string;
  readonly configId?: string;
  readonly count?: string;
  readonly direction?: string;
  readonly director?: readonly string[];
  readonly first?: boolean;
  readonly in?: readonly string[];
  readonly interface?: readonly string[];
  readonly interval?: string;
  readonly json?: boolean;
  readonly method?: string;
  readonly once?: boolean;
  readonly out?: string;
  readonly outer?: string;
  readonly output?: string;
  readonly port?: string;
  readonly service?: string;
  readonly snaplen?: string;
  readonly socket?: string;
  readonly sort?: string;
  readonly type?: string;
  readonly undo?: boolean;
  readonly vip?: readonly string[];
}

/** Carries a command out; the result is the exit code. */
export type CommandFunction = (input: CommandInput, io: CommandIo) => Promise<number>;

/** One option, as commander, the manual page and shell completion need it. */
export interface OptionDefinition {
  /** As in `--config <file>`. */
  readonly flags: string;
  readonly description: string;
  readonly isRequired?: boolean;
  /** May be given several times; the value is a list. */
  readonly isRepeatable?: boolean;
}

/** One positional argument. */
export interface ArgumentDefinition {
  /** As in `<file>` or `[file]`. */
  readonly syntax: string;
  readonly description: string;
}

/** One command. */
export interface CommandDefinition {
  readonly name: string;
  readonly summary: string;
  readonly arguments?: readonly ArgumentDefinition[];
  readonly options?: readonly OptionDefinition[];
  /** Reaches the running director, so it takes `--socket`. */
  readonly needsDirector?: boolean;
  /** Gets everything after its name as it is: neither options nor --help are ours. */
  readonly passesThrough?: boolean;
  /** Imports what carries it out only when it is wanted, so that starting stays fast. */
  readonly load: () => Promise<CommandFunction>;
}

/** The exit codes of every command but ipvsadm, which has its own. */
export const EXIT_OK = 0;
export const EXIT_FAILURE = 1;
export const EXIT_USAGE = 2;
