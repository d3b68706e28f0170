/** Where the ops listener is: `127.0.0.1:9477`, `[::1]:9477`, `:9477`, `9477` or `off`. */

export const OPS_ADDRESS_FORM = /^(?:off|(?:(?<host>\[[\da-f:.]+\]|[\w.-]*):)?(?<port>\d{1,5}))$/i;

export interface OpsAddress {
  /** Null: every address of the machine. */
  readonly host: string | null;
  /** 0: any free one. */
  readonly port: number;
}

/** Null for `off`. The text has the form of {@link OPS_ADDRESS_FORM}. */
export function parseOpsAddress(text: string): OpsAddress | null {
  const { host, port } = OPS_ADDRESS_FORM.exec(text)?.groups ?? {};
  if (port === undefined) return null;
  // A bare port is the cautious choice; every address has to be asked for with a colon.
  if (host === undefined) return { host: LOOPBACK, port: Number(port) };
  return { host: host.replace(/^\[|\]$/g, '') || null, port: Number(port) };
}

// --- internal ---

const LOOPBACK = '127.0.0.1';
