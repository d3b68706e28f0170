/** The body of a request on its way to a worker, no faster than the worker reads it. */
import type { VisitBody } from '../types.ts';
import type { Connection } from './connection.ts';
import { encodeBody, encodeBodyEnd } from './record.ts';

/**
 * Sends the whole body and its end. Resolves with null, or with what went wrong: too short, too
 * long, unreadable, connection closed. Then the worker waits for bytes that will not come, and the
 * connection has to be closed; php-cgi runs the script with what it has, which is why bodies are
 * held back until they are whole before they come here.
 */
export async function sendBody(connection: Connection, body: VisitBody): Promise<string | null> {
  const pieces = body.pieces?.();
  if (pieces != null) return sendPieces(connection, pieces, body.length);
  let left = body.length ?? 0;
  try {
    for await (const chunk of body.open()) {
      const piece: Buffer = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk);
      if (piece.length > left) return 'the body is longer than it said';
      left -= piece.length;
      if (!connection.send(encodeBody([piece]))) await connection.drained();
      if (!connection.isOpen) return 'the connection was closed';
    }
  } catch (error) {
    return `the body cannot be read: ${error instanceof Error ? error.message : String(error)}`;
  }
  if (left > 0) return `the body is ${left} bytes too short`;
  connection.send([encodeBodyEnd()]);
  return null;
}

// --- internal ---

/** What is held anyway needs no stream, and no turn of the event loop for each 64 KiB of it. */
async function sendPieces(
  connection: Connection,
  pieces: readonly Buffer[],
  length: number | null,
): Promise<string | null> {
  const bytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
  if (bytes !== length) return `the body has ${bytes} bytes instead of ${length}`;
  if (!connection.send([...encodeBody(pieces), encodeBodyEnd()])) await connection.drained();
  return connection.isOpen ? null : 'the connection was closed';
}
