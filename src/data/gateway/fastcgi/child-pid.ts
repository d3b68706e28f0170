/** Which child of a php-cgi parent has taken a connection: only it can tell. */
import type { Connection } from './connection.ts';
import { encodeHead } from './record.ts';

/**
 * Null when the connection was closed before there was an answer, or after `timeoutMs`. Rejects
 * when php answers, but with no pid: its script cannot be run, and asking again would not help.
 */
export async function askPid(
  connection: Connection,
  script: string,
  timeoutMs: number,
): Promise<number | null> {
  const timer = setTimeout(() => connection.close('no child was free in time'), timeoutMs);
  try {
    return readPid(await runScript(connection, script));
  } catch (error) {
    connection.close('it was not to be used');
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

// --- internal ---

/** A pid has few digits; a page of warnings shall not be taken for one. */
const ANSWER_MAX_CHARS = 4 * 1024;

/** What a person needs of an answer that is none. */
const QUOTED_CHARS = 200;

function readPid(answer: string | null): number | null {
  if (answer === null) return null;
  const [, pid] = /\ncofferdam-pid=(\d+)\n/.exec(answer) ?? [];
  if (pid !== undefined) return Number(pid);
  const said = answer.replaceAll(/\s+/g, ' ').slice(0, QUOTED_CHARS);
  throw new Error(`php-cgi does not tell its pid, but says: ${said}`);
}

/** All that it wrote; null when the connection was closed first. */
function runScript(connection: Connection, script: string): Promise<string | null> {
  const variables = new Map([
    ['REQUEST_METHOD', 'GET'],
    ['SCRIPT_FILENAME', Buffer.from(script, 'utf8').toString('latin1')],
    ['SCRIPT_NAME', '/pid'],
    ['REDIRECT_STATUS', '200'],
  ]);
  const head = encodeHead(variables, { keep: true, hasBody: false });
  return new Promise((resolve, reject) => {
    let text = '';
    connection.listen({
      onParts(parts) {
        for (const part of parts) {
          if (part.type === 'stdout') text += part.content.toString('latin1');
          if (part.type === 'end' || text.length > ANSWER_MAX_CHARS) return resolve(text);
        }
      },
      onClosed: () => resolve(null),
    });
    if (head === null) reject(new Error('the path of its script is too long'));
    else connection.send([head]);
  });
}
