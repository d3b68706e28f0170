/**
 * The agent: loaded with `--require` before the first line of an unmodified app, in the app's own
 * process. It listens on sockets of the supervisor, counts, and lets go of connections without
 * losing one. Without a brief in the environment (a thread or a child of the app) it does nothing.
 */
import { realpathSync } from 'node:fs';
import type { BRIEF_VARIABLE, WorkerBrief } from '../../protocol.ts' with {
  'resolution-mode': 'import',
};
import type { start } from './life.cts';

const VARIABLE = 'COFFERDAM_WORKER' satisfies typeof BRIEF_VARIABLE;

hideFromChildren();
const text = process.env[VARIABLE];
delete process.env[VARIABLE];
// A thread has no channel: one that another preload started early sees our variable, too.
if (text !== undefined && process.send !== undefined) {
  const brief = JSON.parse(text) as WorkerBrief;
  // A supervisor that is killed while it starts us has told nobody of us: an app that blocks from
  // its first line on would stay for ever.
  if (brief.parentPid !== undefined && brief.parentPid !== process.ppid) process.exit();
  const life = require('./life.cjs') as { start: typeof start };
  life.start(brief);
}

// --- internal ---

/** The app's own forks take over `execArgv`: they are not workers. */
function hideFromChildren(): void {
  const { execArgv } = process;
  for (let i = 0; i < execArgv.length; i++) {
    const [flag, path] = [execArgv[i], execArgv[i + 1]];
    if (flag !== '--require' || path?.endsWith('agent.cjs') !== true) continue;
    // `__filename` has links resolved (pnpm, npm link), the flag has not.
    if (realpathSync(path) === __filename) execArgv.splice(i--, 2);
  }
}
