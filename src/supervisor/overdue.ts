/** What is told of a request that ran past its deadline: with the stack, where it is PHP. */
import type { Kind } from '../config/kind.ts';
import { readPhpStack } from '../metrics/php-stack.ts';
import type { OverdueRequest } from './hearing.ts';
import type { Log } from './log.ts';

/** To be called at once: control is about to have the worker killed. */
export function overdueTeller(log: Log, { kind }: Kind): (request: OverdueRequest) => void {
  return (request) => {
    const { pid } = request;
    const stack = kind !== 'php' || pid === undefined ? null : readPhpStack(pid);
    log.write('warn', 'request_timeout', { ...request, stack: stack?.join(' < ') });
  };
}
