/** What a user gave, before it is understood: one value and where it was given. */

export interface Origin {
  readonly source: 'flag' | 'env' | 'file' | 'default';
  /** For people: `flag --port`, `env PORT`, `cofferdam.toml:3`, `default`. */
  readonly where: string;
}

export interface Given {
  readonly key: string;
  readonly value: unknown;
  /** The setting as it is called there, to begin a message with: `--port`, `PORT`, `port`. */
  readonly name: string;
  readonly origin: Origin;
}
